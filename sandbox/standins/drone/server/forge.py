"""Commits, branches and the pipeline file of a repository, read from a local mirror of it."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.drone.config import Repo

GIT_TIMEOUT = 60  # seconds
PIPELINE_FILE = ".drone.yml"
SHA = re.compile(r"[0-9a-f]{4,40}")


class ForgeError(Exception):
    """The forge does not know the commit or branch, or does not answer: Drone says 404 for both."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit."""

    sha: str
    message: str
    author: str
    email: str


class Forge:
    """Bare mirrors of the repositories, fetched again before each look-up of a commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def commit(self, repo: Repo, branch: str, sha: str = "") -> Commit:
        """Return a commit.

        Args:
            repo: the repository.
            branch: its branch, used if no commit is given.
            sha: a full or short hash, or a branch; "" for the last commit of the branch.

        Raises:
            ForgeError: there is no such commit, or the forge does not answer.
        """
        self._fetch(repo)
        wanted = sha or branch.removeprefix("refs/heads/")
        hashes = [wanted] if SHA.fullmatch(wanted) and sha else []
        for name in (*hashes, f"refs/heads/{wanted}"):
            found = self._output(repo, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
            if found is not None:
                return self._read(repo, found.strip())
        raise ForgeError("Not Found")

    def config(self, repo: Repo, sha: str) -> str | None:
        """Return the text of `.drone.yml` at a commit, None without that file."""
        return self._output(repo, "show", f"{sha}:{PIPELINE_FILE}")

    def _read(self, repo: Repo, sha: str) -> Commit:
        text = self._output(repo, "show", "--no-patch", "--format=%an%x00%ae%x00%B", sha) or ""
        author, email, message = text.split("\0")
        return Commit(sha, message.rstrip("\n") + "\n", author, email)

    def _fetch(self, repo: Repo) -> None:
        mirror = self._mirror(repo)
        with self._lock:
            if not mirror.exists():
                self._git("init", "--quiet", "--bare", str(mirror))
            done = self._git(
                *("-C", str(mirror), "fetch", "--quiet", "--prune", "--no-tags"),
                *(repo.clone_url, "+refs/*:refs/*"),
            )
        if done.returncode != 0:
            raise ForgeError(f"cannot fetch '{repo.clone_url}': {done.stderr.strip()}")

    def _output(self, repo: Repo, *words: str) -> str | None:
        done = self._git("-C", str(self._mirror(repo)), *words)
        return done.stdout if done.returncode == 0 else None

    def _mirror(self, repo: Repo) -> Path:
        return self._folder / f"{repo.owner}+{repo.name}.git"

    def _git(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words],
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_TIMEOUT,
        )
