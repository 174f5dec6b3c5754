"""Git, as far as a run needs it: fetch exactly one commit, read tags, move the checkout.

A recipe's repository is data: no hooks run, no submodules are fetched, no prompts are shown, and a
link that leaves the checkout is refused. `git fetch <sha>` is allowed by Gitea for any commit of a
pull request, also after a force-push (measured with 1.26).
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from harness import proc
from harness.errors import CommandFailed, InfraError, UsageError
from harness.proc import Done

TIMEOUT = 120.0  # seconds for one command
SAFE = (
    ("core.hooksPath", "/dev/null"),
    ("protocol.ext.allow", "never"),
    ("safe.directory", "*"),
    ("core.fsmonitor", "false"),
    ("advice.detachedHead", "false"),
)
FULL_SHA = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: its name, the commit it points to, and whether it is annotated."""

    name: str
    commit: str
    annotated: bool


def resolve(url: str, name: str | None) -> str:
    """Return the full sha of a branch, or of the default branch's head without a name.

    Raises:
        InfraError: the repository does not answer, or has no such branch.
    """
    ref = f"refs/heads/{name}" if name else "HEAD"
    out = _git(None, "ls-remote", url, ref, doing=f"asking '{url}' for {name or 'its head'}").out
    sha = out.partition("\t")[0].strip()
    if not FULL_SHA.fullmatch(sha):
        raise InfraError(f"'{url}' has no {ref}")
    return sha


def fetch_checkout(url: str, ref: str, target: Path, *, upstream_url: str | None = None) -> None:
    """Clone the recipe with its published tags and check out exactly this commit.

    url: where the commit is (a fork, say). upstream_url: where the published tags are.
    Afterwards `origin` is a bare clone beside the checkout, so that no later command (abra fetches
    tags on its own) needs the network or credentials.

    Raises:
        UsageError: `ref` is not a full sha, or not in the repository.
        InfraError: a repository does not answer.
    """
    if not FULL_SHA.fullmatch(ref):
        raise UsageError(f"REF is '{ref}', but must be a full commit sha (40 hex digits)")
    mirror = target.parent.parent / "mirrors" / f"{target.name}.git"
    for folder in (mirror, target):
        shutil.rmtree(folder, ignore_errors=True)
    mirror.parent.mkdir(parents=True, exist_ok=True)
    origin = upstream_url or url
    _git(None, "clone", "--bare", "--quiet", origin, str(mirror), doing=f"cloning '{origin}'")
    if not _has(mirror, ref):
        _fetch_commit(mirror, url, ref)
    _git(None, "clone", "--quiet", "--no-checkout", str(mirror), str(target), doing="cloning")
    if not _has(target, ref):
        _git(
            target,
            "fetch",
            "--quiet",
            str(mirror),
            "refs/ccci/head",
            doing="taking the commit over",
        )
    checkout(target, ref)
    refuse_escapes(target)


def _fetch_commit(mirror: Path, url: str, ref: str) -> None:
    try:
        _git(
            mirror, "fetch", "--quiet", url, f"{ref}:refs/ccci/head", doing=f"fetching from '{url}'"
        )
    except InfraError as error:
        everything = "+refs/*:refs/ccci/all/*"
        _git(mirror, "fetch", "--quiet", url, everything, doing=f"fetching from '{url}'")
        if not _has(mirror, ref):
            raise UsageError(f"commit {ref} is not in '{url}'") from error
        _git(mirror, "update-ref", "refs/ccci/head", ref, doing="keeping the commit")


def _has(repository: Path, ref: str) -> bool:
    words = ("cat-file", "-e", f"{ref}^{{commit}}")
    return _git(repository, *words, doing="looking for the commit", check=False).status == 0


def checkout(target: Path, ref: str) -> None:
    """Move the checkout to a commit, whatever lies in it; untracked files are removed."""
    _git(target, "checkout", "--quiet", "--force", "--detach", ref, doing=f"checking out {ref[:8]}")
    _git(target, "clean", "--quiet", "-ffdx", doing="cleaning the checkout")


def head(target: Path) -> str:
    """Return the full sha of the checkout."""
    return _git(target, "rev-parse", "HEAD", doing="reading the checkout's commit").out.strip()


def version_tags(target: Path) -> list[Tag]:
    """Return all tags with the commits they point to."""
    form = "%(refname:short)%09%(objecttype)%09%(objectname)%09%(*objectname)"
    out = _git(target, "for-each-ref", f"--format={form}", "refs/tags", doing="listing tags").out
    rows = [line.split("\t") for line in out.splitlines()]
    return [
        Tag(name, peeled if kind == "tag" else commit, kind == "tag")
        for name, kind, commit, peeled in rows
    ]


def show(target: Path, ref: str, path: str) -> str | None:
    """Return a file's text at a commit, or None where there is none."""
    done = _git(target, "show", f"{ref}:{path}", doing=f"reading '{path}'", check=False)
    return done.out if done.status == 0 else None


def refuse_escapes(target: Path) -> None:
    """Refuse links that lead out of the checkout.

    Raises:
        UsageError: names the link and where it leads.
    """
    root = target.resolve()
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                leads = os.readlink(path)
                raise UsageError(
                    f"'{path.relative_to(target)}' in the recipe links to '{leads}', "
                    "which is outside of it"
                )


def _git(where: Path | None, *words: str, doing: str, check: bool = True) -> Done:
    """Run git without hooks, prompts or the host's configuration.

    Raises:
        InfraError: git failed, says at what.
    """
    settings = [part for key, value in SAFE for part in ("-c", f"{key}={value}")]
    place = ["-C", str(where)] if where else []
    env = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", "/"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }
    try:
        return proc.run(["git", *settings, *place, *words], timeout=TIMEOUT, env=env, check=check)
    except CommandFailed as error:
        raise InfraError(f"{doing} failed: {error}") from error
