"""Fixtures of the Drone tests: one shared Drone, and stand-ins with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.drone import real_env
from tests.integration.drone.drone_env import DroneEnv
from tests.integration.drone.standin_env import StandInEnv
from tests.support.poll import kill

StartStandIn = Callable[..., StandInEnv]


@pytest.fixture(scope="session")
def drone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DroneEnv]:
    """Return a running Drone: real servers if the environment names their programs, else the stand-in."""
    folder = tmp_path_factory.mktemp("drone")
    env: DroneEnv
    if real_env.is_configured():
        env = real_env.RealDroneEnv(folder)
        try:
            env.set_up()
            yield env
        finally:
            env.stop()
        return
    env = StandInEnv(folder)
    try:
        env.start()
        yield env
    finally:
        env.stop()


@pytest.fixture
def start_standin(tmp_path: Path) -> Iterator[StartStandIn]:
    """Return a function that starts a stand-in with its own settings."""
    started: list[StandInEnv] = []

    def start(**settings: Any) -> StandInEnv:
        started.append(StandInEnv(tmp_path / f"standin{len(started)}", **settings))
        started[-1].start()
        return started[-1]

    yield start
    for env in started:
        env.stop()


@pytest.fixture
def leftover_pids() -> Iterator[list[int]]:
    """Return a list for processes that a test leaves running on purpose; they are killed after it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        kill(pid)
