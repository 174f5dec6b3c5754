"""The recipe's checkout: what abra asks of git, and how it moves HEAD."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.abra.files import versions
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import proc

ENV = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
SAFE = (  # abra reads repositories by a library, which knows neither hooks nor filters
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "safe.directory=*"),
)
SHORT = 8  # characters of a hash in labels and in the env file


@dataclass(frozen=True, slots=True)
class Checkout:
    """The git work tree of one recipe below ABRA_DIR/recipes."""

    recipe: str
    path: Path

    def require(self) -> None:
        """Make sure that the work tree is there.

        Raises:
            Fatal: it is not; fetching one is not modelled.
        """
        if not (self.path / ".git").exists():
            raise Fatal(f"recipe '{self.recipe}' is not at '{self.path}'; fetching is not modelled")

    def dirty(self) -> bool:
        """Say whether anything is changed; untracked files count."""
        return bool(self._git("status", "--porcelain", "--untracked-files=all").strip())

    def head(self) -> str:
        """Return the full hash of HEAD."""
        return self._git("rev-parse", "HEAD").strip()

    def chaos_version(self) -> str:
        """Return the short hash of HEAD, with `+U` when the tree is dirty."""
        return self.head()[:SHORT] + ("+U" if self.dirty() else "")

    def tags(self) -> dict[str, bool]:
        """Return every tag and whether it is annotated."""
        out = self._git("for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags")
        rows = [line.split(" ", 1) for line in out.splitlines()]
        return {name: kind == "tag" for kind, name in rows}

    def newest(self) -> str:
        """Return the newest version among the tags, "" when there is none."""
        found = versions.sort(self.tags())
        return found[-1] if found else ""

    def fetch_tags(self) -> None:
        """Fetch all tags from origin by force, as abra does even for a lint.

        Raises:
            Fatal: origin does not answer.
        """
        done = self._try("fetch", "--quiet", "--tags", "--force", "origin")
        if done.status != 0:
            raise Fatal(f"unable to fetch tags in '{self.path}': {done.said}")

    def ensure(self, version: str, *, chaos: bool, offline: bool) -> None:
        """Bring the checkout to a version ("" for the newest); chaos leaves it alone.

        Raises:
            Fatal: dirty tree, origin does not answer, or no such version.
        """
        self.require()
        if chaos:
            return
        if self.dirty():
            raise Fatal(f"{self.path} has locally unstaged changes")
        if not offline:
            self.fetch_tags()
        wanted = version.removesuffix("+U") or self.newest()
        if wanted:
            self.check_out(wanted)

    def check_out(self, version: str) -> None:
        """Move HEAD to a tag or hash.

        Raises:
            Fatal: no such version.
        """
        found = self._try("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}")
        if found.status != 0:
            raise Fatal(f"version {version} of recipe {self.recipe} is not known here")
        self._git("checkout", "--quiet", "--force", "--detach", found.out.strip())

    def _try(self, *words: str) -> proc.Done:
        argv = ["git", *SAFE, "-C", str(self.path), *words]
        return proc.run(argv, env={**os.environ, **ENV}, timeout=60.0)

    def _git(self, *words: str) -> str:
        done = self._try(*words)
        if done.status != 0:
            raise Fatal(f"git {words[0]} in '{self.path}': {done.said}")
        return done.out
