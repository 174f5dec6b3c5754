"""The stand-in for Drone as a child process, with a bare git repository as its forge."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.integration.drone.drone_env import SLUG, DroneEnv
from tests.support.git_repo import git
from tests.support.poll import is_alive, until
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
HOOK_SECRET = "between forge and drone"


class StandInEnv(DroneEnv):
    """One process of `sandbox.standins.drone`."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder)
        port = free_port()
        bare = folder / f"{SLUG}.git"
        bare.mkdir(parents=True)
        git(bare, "init", "-q", "--bare", "-b", "main")
        self.url, self.remote = f"http://127.0.0.1:{port}", str(bare)
        self.hook = f"{self.url}/hook?secret={HOOK_SECRET}"
        self.tokens = {"bridge": "token-of-bridge", "plainbot": "token-of-plainbot"}
        repo = {"clone_url": self.remote, "branch": "main", "active": True}
        self.settings: dict[str, Any] = {
            "port": port,
            "data": str(folder / "data"),
            "tokens": {
                self.tokens["bridge"]: {"login": "bridge", "admin": True},
                self.tokens["plainbot"]: {"login": "plainbot", "admin": False},
            },
            "repos": {SLUG: repo, "ci/asleep": {**repo, "active": False}},
            "capacity": 8,
            "environ": {"FROM_RUNNER": "yes"},
            "hook_secret": HOOK_SECRET,
            "missing_yaml_wait": 0.2,
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.push("main", None)

    @property
    def pid(self) -> int:
        """Pid of the stand-in."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start the process and wait until it answers."""
        path = self.folder / "config.json"
        path.write_text(json.dumps(self.settings))
        with (self.folder / "standin.log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sandbox.standins.drone", "serve", "--config", str(path)],
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until("the stand-in to answer", self._answers)

    def signal(self, number: int) -> None:
        """Send a signal to the process, not to its group."""
        os.kill(self.pid, number)

    def exit_code(self, *, timeout: float = 10.0) -> int:
        """Wait for the process to exit and return its exit code."""
        assert self.process is not None
        return self.process.wait(timeout)

    def stop(self) -> None:
        """Kill the process; tests kill the children of its steps themselves."""
        if self.process is not None and is_alive(self.pid):
            self.signal(signal.SIGKILL)
            self.exit_code()

    def restart(self) -> None:
        """Stop the process with SIGTERM and start it again."""
        self.signal(signal.SIGTERM)
        assert self.exit_code() == 0
        self.start()

    def crash_runner(self) -> None:
        """Kill the process, which is both runner and server, and start it again."""
        self.stop()
        self.start()

    def runner_root(self) -> Path:
        """Return the folder with the workspaces."""
        return self.folder / "data/runner"

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "standin.log").read_text()
        try:
            return requests.get(self.url + "/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


def _environment() -> Mapping[str, str]:
    """Return an environment without pytest's own variables, which would reach the steps."""
    kept = {key: os.environ[key] for key in ("PATH", "USER", "LANG") if key in os.environ}
    return {**kept, "HOME": "/nonexistent"}
