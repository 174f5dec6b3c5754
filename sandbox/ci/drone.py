"""Drone for the sandbox and the tests: the real one, or the stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sandbox.ci import real_drone
from sandbox.ci.real_drone import RealDrone
from sandbox.ci.standin_drone import StandInDrone
from sandbox.forge.gitea import Gitea
from sandbox.host.daemon import Daemon


class Drone(Protocol):
    """What the sandbox and the tests need of Drone."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        """The address of its API."""

    @property
    def token(self) -> Path:
        """The file with the bridge's token."""

    @property
    def daemon(self) -> Daemon:
        """The server's process."""

    @property
    def worker(self) -> Daemon:
        """The process that runs the steps."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """Stop it without waiting for running steps."""


def choose_drone(folder: Path, port: int, forge: Gitea, environ: Mapping[str, str]) -> Drone:
    """Return the real Drone if the environment names its programs, else the stand-in.

    Args:
        folder: of its data.
        port: on loopback.
        forge: the Gitea with the CI's repository.
        environ: variables of the steps, besides those of the build.
    """
    kind = RealDrone if real_drone.is_configured() else StandInDrone
    return kind(folder, port, forge, environ)
