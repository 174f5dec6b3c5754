"""A recipe's git checkout: its state and tags, and how abra moves its HEAD."""

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
SAFE_OPTIONS = (  # abra reads repositories with a library that runs neither hooks nor filters
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "safe.directory=*"),
)
SHORT_HASH = 8  # characters of a hash in labels and in the env file
GIT_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Checkout:
    """The git work tree of one recipe below ABRA_DIR/recipes."""

    recipe: str
    path: Path

    def require(self) -> None:
        """Require that the work tree exists.

        Raises:
            Fatal: it does not; the stand-in does not fetch recipes.
        """
        if not (self.path / ".git").exists():
            raise Fatal(
                f"recipe '{self.recipe}' is missing at '{self.path}'; the stand-in does not fetch"
            )

    def dirty(self) -> bool:
        """Return True if anything is changed; untracked files count."""
        return bool(self._git("status", "--porcelain", "--untracked-files=all").strip())

    def head(self) -> str:
        """Return the full hash of HEAD."""
        return self._git("rev-parse", "HEAD").strip()

    def short_head(self) -> str:
        """Return the short hash of HEAD."""
        return self.head()[:SHORT_HASH]

    def chaos_version(self) -> str:
        """Return the short hash of HEAD, with `+U` if the work tree is dirty."""
        return self.short_head() + ("+U" if self.dirty() else "")

    def tags(self) -> dict[str, bool]:
        """Return all tags: True for each that is annotated."""
        out = self._git("for-each-ref", "--format=%(objecttype) %(refname:short)", "refs/tags")
        rows = [line.split(" ", 1) for line in out.splitlines()]
        return {name: kind == "tag" for kind, name in rows}

    def newest_version(self) -> str:
        """Return the newest version among the tags, "" without one."""
        found = versions.sort(self.tags())
        return found[-1] if found else ""

    def fetch_tags(self) -> None:
        """Fetch all tags from origin by force, as abra does even for a lint.

        Raises:
            Fatal: origin does not answer.
        """
        done = self._try("fetch", "--quiet", "--tags", "--force", "origin")
        if done.exit_code != 0:
            raise Fatal(f"unable to fetch tags in '{self.path}': {done.error_text}")

    def ensure(self, version: str, *, chaos: bool, offline: bool) -> None:
        """Move the checkout to a version.

        Args:
            version: a tag or hash; "" for the newest version.
            chaos: leave the checkout as it is.
            offline: do not fetch tags from origin.

        Raises:
            Fatal: the work tree is dirty, origin does not answer, or there is no such version.
        """
        self.require()
        if chaos:
            return
        if self.dirty():
            raise Fatal(f"{self.path} has locally unstaged changes")
        if not offline:
            self.fetch_tags()
        wanted = version.removesuffix("+U") or self.newest_version()
        if wanted:
            self.check_out(wanted)

    def check_out(self, version: str) -> None:
        """Move HEAD to a tag or hash.

        Raises:
            Fatal: there is no such version.
        """
        found = self._try("rev-parse", "--verify", "--quiet", f"{version}^{{commit}}")
        if found.exit_code != 0:
            raise Fatal(f"version {version} of recipe {self.recipe} is not known here")
        self._git("checkout", "--quiet", "--force", "--detach", found.out.strip())

    def _try(self, *words: str) -> proc.Completed:
        argv = ["git", *SAFE_OPTIONS, "-C", str(self.path), *words]
        return proc.run(argv, env={**os.environ, **ENV}, timeout=GIT_TIMEOUT)

    def _git(self, *words: str) -> str:
        done = self._try(*words)
        if done.exit_code != 0:
            raise Fatal(f"git {words[0]} in '{self.path}': {done.error_text}")
        return done.out
