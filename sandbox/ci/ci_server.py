"""The parts of a CI server besides the forge: Drone, and the bridge. Everything on loopback."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sandbox.ci import real_drone
from sandbox.ci.real_drone import RealDrone
from sandbox.ci.standin_drone import StandinDrone
from sandbox.forge.gitea import BOT_SCOPES, Gitea
from sandbox.host import paths
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CI_REPO, PROGRAM_PATH
from sandbox.host.secret_file import secret_file


class Drone(Protocol):
    """What the sandbox and the tests need of a Drone, be it the real one or the stand-in."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """Its address."""

    @property
    def token(self) -> Path:
        """The file with the bridge's token."""

    @property
    def worker(self) -> Daemon:
        """The process that runs the steps."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """End it without waiting for the steps that run."""


def drone(folder: Path, port: int, forge: Gitea, environ: Mapping[str, str]) -> Drone:
    """Return the real Drone where the environment names its executables, else the stand-in."""
    kind = RealDrone if real_drone.there() else StandinDrone
    return kind(folder, port, forge, environ)


@dataclass
class Bridge:
    """The bridge, as an operator would start it. settings: further keys of its environment."""

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
        """The secret that deliveries are signed with."""
        return secret_file(self.folder, "hook_secret").read_text().strip()

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon("bridge", self.folder, self.forge.tied)

    def environment(self) -> dict[str, str]:
        """Return the environment it is started with."""
        token = secret_file(self.folder, "gitea_token", self._forge_token())
        self.hook_secret  # noqa: B018 - makes the file
        return {
            "PATH": PROGRAM_PATH,
            "GITEA_URL": self.forge.url,
            "GITEA_ORG": self.org,
            "GITEA_TOKEN_FILE": str(token),
            "DRONE_URL": self.drone_url,
            "DRONE_REPO": CI_REPO,
            "DRONE_TOKEN_FILE": str(self.drone_token),
            "BRIDGE_HOOK_SECRET_FILE": str(self.folder / "hook_secret"),
            "BRIDGE_LISTEN": f"127.0.0.1:{self.port}",
            "BRIDGE_STATE": str(self.folder / "bridge.sqlite"),
            **self.settings,
        }

    def _forge_token(self) -> str:
        path = self.folder / "gitea_token"
        return path.read_text().strip() if path.exists() else self.forge.token("ccbot", BOT_SCOPES)

    def start(self, *, wait: bool = True) -> None:
        """Start it; `wait` until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "bridge"]
        self.daemon.start(words, self.environment(), cwd=paths.CHECKOUT)
        if wait:
            self.daemon.answers(f"{self.url}/healthz")

    def stop(self) -> None:
        """End it in order."""
        self.daemon.stop()
