"""A Drone to test against: its URL and tokens, its CI repository, and calls to its API."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.support import git_repo
from tests.support.git_repo import git
from tests.support.poll import until

SLUG = "ci/cc-ci"
REPO = f"/api/repos/{SLUG}"
DONE = ("success", "failure", "killed", "error", "skipped")


def pipeline(name: str, *steps: str, event: str = "custom", extra: str = "") -> str:
    """Return one pipeline of a `.drone.yml`.

    Args:
        name: its name.
        steps: texts that `step` returns.
        event: the event that triggers it.
        extra: further lines of YAML.
    """
    head = f"kind: pipeline\ntype: exec\nname: {name}\n{extra}trigger:\n  event: [{event}]\n"
    return head + "steps:\n" + "".join(steps)


def step(name: str, *commands: str, extra: str = "") -> str:
    """Return the text of one step, with each command as a literal block."""
    lines = [f"- name: {name}\n", extra, "  commands:\n"]
    for command in commands:
        lines.append("  - |-\n" + "".join(f"    {line}\n" for line in command.splitlines()))
    return "".join(lines)


class DroneEnv(ABC):
    """One Drone with its runner and one CI repository."""

    real = False
    url: str
    tokens: Mapping[str, str]  # by login: bridge (an admin) and plainbot (not an admin)
    hook: str  # URL for deliveries of the forge, with the secret in the query
    remote: str  # git remote of the CI repository

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"

    @abstractmethod
    def start(self) -> None:
        """Start the processes that do not run."""

    @abstractmethod
    def stop(self) -> None:
        """Stop every process."""

    @abstractmethod
    def crash_runner(self) -> None:
        """Kill the runner with SIGKILL and start it again."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the server with SIGTERM and start it again."""

    @abstractmethod
    def runner_root(self) -> Path:
        """Return the folder with the runner's workspaces."""

    def call(
        self, method: str, path: str, *, user: str = "bridge", **more: Any
    ) -> requests.Response:
        """Send one request as a user, without a token if `user` is ""."""
        token = self.tokens.get(user, user)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= more.pop("headers", {})
        more.setdefault("timeout", 60)
        return requests.request(method, self.url + path, headers=headers, **more)

    def build_response(self, number: int) -> requests.Response:
        """Return the response to a request for one build."""
        return self.call("GET", f"{REPO}/builds/{number}")

    def build(self, number: int) -> dict[str, Any]:
        """Return one build with its stages."""
        response = self.build_response(number)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def create(self, branch: str, **params: str) -> int:
        """Create a build and return its number."""
        response = self.call("POST", f"{REPO}/builds", params={"branch": branch, **params})
        assert response.status_code == 200 and response.json(), response.text
        return int(response.json()["number"])

    def cancel(self, number: int) -> requests.Response:
        """Cancel a build."""
        return self.call("DELETE", f"{REPO}/builds/{number}")

    def wait_for(self, number: int, *states: str, timeout: float = 30.0) -> dict[str, Any]:
        """Wait until a build has one of these states and return the build."""

        def look() -> dict[str, Any] | None:
            found = self.build(number)
            return found if found["status"] in states else None

        return until(f"build {number} to be {' or '.join(states)}", look, timeout=timeout)

    def finished(self, number: int, *, timeout: float = 40.0) -> dict[str, Any]:
        """Wait until a build and its stages are done and return the build."""
        self.wait_for(number, *DONE, timeout=timeout)

        def look() -> dict[str, Any] | None:
            found = self.build(number)
            stages = found.get("stages", [])
            return found if all(stage["status"] in DONE for stage in stages) else None

        return until(f"the stages of build {number} to finish", look, timeout=timeout)

    def log(self, number: int, step: int, stage: int = 1) -> str:
        """Return the log of a finished step."""
        path = f"{REPO}/builds/{number}/logs/{stage}/{step}"

        def look() -> requests.Response | None:
            response = self.call("GET", path)
            return response if response.status_code == 200 else None

        lines = until(f"the log of build {number}, step {step}", look).json()
        return "".join(line["out"] for line in lines)

    def push(
        self,
        branch: str,
        yml: str | None,
        files: Mapping[str, str] | None = None,
        *,
        message: str | None = None,
    ) -> str:
        """Commit to a branch of the CI repository and return the commit's sha; a new branch starts at main.

        Args:
            branch: the branch.
            yml: text of `.drone.yml`, None to leave it out.
            files: texts of further files by name.
            message: the commit message.
        """
        work = self.work
        if not work.exists():
            git_repo.init(work)
            git_repo.commit(work, {"README.md": "CI\n"}, "start [CI SKIP]")
            git(work, "push", "-q", "--force", self.remote, "main")
        known = git(work, "branch", "--list", branch)
        git(
            work, "checkout", "-q", *([] if known else ["-b"]), branch, *([] if known else ["main"])
        )
        written = dict(files or {}) | ({} if yml is None else {".drone.yml": yml})
        sha = git_repo.commit(work, written, message or f"pipelines of {branch} [CI SKIP]")
        git(work, "push", "-q", self.remote, branch)
        git(work, "checkout", "-q", "main")
        return sha
