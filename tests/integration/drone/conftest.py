"""Fixtures of Drone's contract: one Drone for most tests, and stand-ins with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.drone import real_env
from tests.integration.drone.drone_env import Place
from tests.integration.drone.standin_env import StandIn
from tests.support.poll import end

MakeStandIn = Callable[..., StandIn]


@pytest.fixture(scope="session")
def drone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a running Drone: real servers where the environment names them, else the stand-in."""
    folder = tmp_path_factory.mktemp("drone")
    place: Place
    if real_env.is_configured():
        place = real_env.Real(folder)
        try:
            place.set_up()
            yield place
        finally:
            place.stop()
        return
    place = StandIn(folder)
    try:
        place.start()
        yield place
    finally:
        place.stop()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeStandIn]:
    """Return a maker of stand-ins with settings of their own."""
    made: list[StandIn] = []

    def one(**settings: Any) -> StandIn:
        made.append(StandIn(tmp_path / f"standin{len(made)}", **settings))
        made[-1].start()
        return made[-1]

    yield one
    for place in made:
        place.stop()


@pytest.fixture
def left() -> Iterator[list[int]]:
    """Return a list for the processes that a test leaves behind on purpose."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        end(pid)
