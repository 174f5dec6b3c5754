"""A git repository to fetch from, and what can be read from a checkout."""

from __future__ import annotations

from pathlib import Path

from tests.support import git_repo


class Repository:
    """A git repository to fetch from."""

    def __init__(self, path: Path) -> None:
        """Make an empty one with branch main; a repository that exists is not changed."""
        self.path = git_repo.init(path)

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.path)

    def git(self, *words: str) -> str:
        """Run git in it."""
        return git_repo.git(self.path, *words)

    def commit(self, **files: str) -> str:
        """Commit files, named with `_` for `.`, and return the full sha."""
        named = {name.replace("_", "."): text for name, text in files.items()}
        return git_repo.commit(self.path, named, "x")


def head(checkout: Path) -> str:
    """Return the full sha of a checkout."""
    return git_repo.git(checkout, "rev-parse", "HEAD")


def is_clean(checkout: Path) -> bool:
    """Return True if a checkout is exactly its commit, without untracked files."""
    return not git_repo.git(checkout, "status", "--porcelain", "--untracked-files=all")
