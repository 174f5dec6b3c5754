"""What the fault tests share: a place with a tiny recipe, and runs that are ended whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.settings import CHECKOUT
from tests.faults.fault_env import FaultEnv, HeldRun

Start = Callable[..., HeldRun]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEnv]:
    """A folder with the tiny recipe; whatever its runs leave is removed."""
    if not (CHECKOUT / ".bench" / "settings.env").exists():
        pytest.fail("there is no bench; run `make setup`")
    made = FaultEnv(tmp_path_factory.mktemp("place"))
    made.recipe("tiny")
    yield made
    made.janitor()


@pytest.fixture
def start(place: FaultEnv) -> Iterator[Start]:
    """Start runs of tiny recipes; what still runs at the end is killed and cleared."""
    made: list[HeldRun] = []

    def begin(*options: str, **more: object) -> HeldRun:
        made.append(HeldRun(place, *options, **more))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    place.go_on()
    alive = [run for run in made if run.process.poll() is None]
    for run in made:
        run.kill()
    if alive:
        place.janitor()
