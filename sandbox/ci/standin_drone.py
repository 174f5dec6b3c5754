"""The stand-in for Drone as a process of the sandbox."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.forge.gitea import Gitea
from sandbox.host import paths
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CI_REPO, PROGRAM_PATH
from sandbox.host.secret_file import secret_file


@dataclass
class StandInDrone:
    """The stand-in for Drone's server and runner, in one process.

    Attributes:
        folder: of its data.
        port: on loopback.
        forge: the Gitea with the CI's repository.
        environ: variables of the steps, besides those of the build.
        options: further keys of its configuration.
    """

    folder: Path
    port: int
    forge: Gitea
    environ: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> Path:
        """The file with the bridge's token."""
        return secret_file(self.folder, "drone_token")

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon("drone", self.folder, self.forge.tied)

    @property
    def worker(self) -> Daemon:
        """The process that runs the steps: the same one."""
        return self.daemon

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "port": self.port,
            "data": str(self.folder / "drone"),
            "tokens": {self.token.read_text().strip(): {"login": "bridge", "admin": True}},
            "repos": {CI_REPO: {"clone_url": f"{self.forge.url}/{CI_REPO}.git", "branch": "main"}},
            "capacity": paths.CAPACITY,
            "environ": dict(self.environ),
            "public_url": self.url,
            "hook_secret": secret_file(self.folder, "drone_hook_secret").read_text().strip(),
            **self.options,
        }
        path = self.folder / "drone.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))
        words = [sys.executable, "-m", "sandbox.standins.drone", "serve", "--config", str(path)]
        env = {"PATH": PROGRAM_PATH, "USER": "root", "HOME": str(self.folder)}
        self.daemon.start(words, env, cwd=paths.CHECKOUT)
        self.daemon.wait_until_up(f"{self.url}/healthz")
        self._activate(config["hook_secret"])

    def _activate(self, secret: object) -> None:
        """Add the webhook for pushes, as activating a repository in Drone does."""
        hooks, address = f"/repos/{CI_REPO}/hooks", f"{self.url}/hook"
        if self.forge.call("GET", hooks):
            return
        target = {"url": address, "content_type": "json", "secret": secret}
        body = {"type": "gitea", "active": True, "events": ["push"], "config": target}
        self.forge.call("POST", hooks, body)

    def stop(self) -> None:
        """Stop it without waiting for running steps."""
        self.daemon.stop(grace=1.0)
