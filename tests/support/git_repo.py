"""Git repositories for tests, with a fixed author and without the user's own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Test"), ("EMAIL", "test@example.com"))
}
TIMEOUT = 60.0  # seconds for one command
ISOLATED = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


def git(folder: Path, *words: str, stdin: str = "") -> str:
    """Run git in a repository and return its output without the last newline."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env={**os.environ, **AUTHOR, **ISOLATED},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, f"git {words[0]} failed:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def init(folder: Path) -> Path:
    """Create an empty repository with the branch `main`."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def commit(folder: Path, files: Mapping[str, str], message: str, *, tag: str = "") -> str:
    """Write files, commit everything and return the commit.

    Args:
        folder: the repository.
        files: text by path; other files of the repository do not change.
        message: the commit's message.
        tag: name of an annotated tag for the commit; no tag if empty.
    """
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    if tag:
        git(folder, "tag", "--annotate", tag, "--message", "published")
    return git(folder, "rev-parse", "HEAD")
