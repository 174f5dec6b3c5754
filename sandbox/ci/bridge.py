"""The bridge as a process of the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.forge.gitea import BOT_SCOPES, Gitea
from sandbox.host import paths
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CI_REPO, PROGRAM_PATH
from sandbox.host.secret_file import secret_file


@dataclass
class Bridge:
    """The bridge, started as an operator starts it.

    Attributes:
        folder: of its state and secrets.
        port: on loopback.
        forge: the Gitea with the recipes.
        drone_url: address of Drone's API.
        drone_token: file with the token for it.
        org: the organisation whose members may trigger runs.
        settings: further variables of its environment.
    """

    folder: Path
    port: int
    forge: Gitea
    drone_url: str
    drone_token: Path
    org: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hook_secret(self) -> str:
        """The secret with which webhook deliveries are signed."""
        return secret_file(self.folder, "hook_secret").read_text().strip()

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon("bridge", self.folder, self.forge.tied)

    def environment(self) -> dict[str, str]:
        """Return its environment."""
        token = secret_file(self.folder, "gitea_token", self._forge_token())
        hook_secret = secret_file(self.folder, "hook_secret")
        return {
            "PATH": PROGRAM_PATH,
            "GITEA_URL": self.forge.url,
            "GITEA_ORG": self.org,
            "GITEA_TOKEN_FILE": str(token),
            "DRONE_URL": self.drone_url,
            "DRONE_REPO": CI_REPO,
            "DRONE_TOKEN_FILE": str(self.drone_token),
            "BRIDGE_HOOK_SECRET_FILE": str(hook_secret),
            "BRIDGE_LISTEN": f"127.0.0.1:{self.port}",
            "BRIDGE_STATE": str(self.folder / "bridge.sqlite"),
            **self.settings,
        }

    def _forge_token(self) -> str:
        path = self.folder / "gitea_token"
        return path.read_text().strip() if path.exists() else self.forge.token("ccbot", BOT_SCOPES)

    def start(self, *, wait: bool = True) -> None:
        """Start it; return when it answers, or immediately if `wait` is False."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "bridge"]
        self.daemon.start(words, self.environment(), cwd=paths.CHECKOUT)
        if wait:
            self.daemon.wait_until_up(f"{self.url}/healthz")

    def stop(self) -> None:
        """Stop it by SIGTERM."""
        self.daemon.stop()
