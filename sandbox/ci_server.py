"""The parts of a CI server besides the forge: Drone, and the bridge. Everything on loopback."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox import place
from sandbox.daemon import Daemon
from sandbox.forge import BOT_SCOPES, Forge

CI_REPO = "ci/cc-ci"
PROGRAM_PATH = f"{place.CHECKOUT / '.venv' / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"


def secret_file(folder: Path, name: str, text: str = "") -> Path:
    """Keep a secret in a file that only its owner reads; a new one is made where none is given."""
    path = folder / name
    if text or not path.exists():
        path.touch(mode=0o600)
        path.write_text((text or secrets.token_hex(20)) + "\n")
    return path


@dataclass
class StandinDrone:
    """The stand-in for Drone's server and runner. environ: what steps find besides the build's own."""

    folder: Path
    port: int
    forge: Forge
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

    def start(self) -> None:
        """Start it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = {
            "port": self.port,
            "data": str(self.folder / "drone"),
            "tokens": {self.token.read_text().strip(): {"login": "bridge", "admin": True}},
            "repos": {CI_REPO: {"clone_url": f"{self.forge.url}/{CI_REPO}.git", "branch": "main"}},
            "capacity": 2,
            "environ": dict(self.environ),
            "public_url": self.url,
            "hook_secret": secret_file(self.folder, "drone_hook_secret").read_text().strip(),
            **self.options,
        }
        path = self.folder / "drone.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))
        words = [sys.executable, "-m", "sandbox.drone", "serve", "--config", path]
        env = {"PATH": PROGRAM_PATH, "USER": "root", "HOME": str(self.folder)}
        self.daemon.start(words, env, cwd=place.CHECKOUT)
        self.daemon.answers(f"{self.url}/healthz")

    def stop(self) -> None:
        """End it without waiting for the steps that run."""
        self.daemon.stop(grace=1.0)


@dataclass
class Bridge:
    """The bridge, as an operator would start it. settings: further keys of its environment."""

    folder: Path
    port: int
    forge: Forge
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
        self.daemon.start(words, self.environment(), cwd=place.CHECKOUT)
        if wait:
            self.daemon.answers(f"{self.url}/healthz")

    def stop(self) -> None:
        """End it in order."""
        self.daemon.stop()
