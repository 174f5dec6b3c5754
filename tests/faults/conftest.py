"""What the fault tests share: a place with a tiny recipe, and runs that are ended whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.settings import CHECKOUT
from tests.faults.tiny import Place, Started

Start = Callable[..., Started]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A folder with the tiny recipe; whatever its runs leave is removed."""
    if not (CHECKOUT / ".bench" / "settings.env").exists():
        pytest.fail("there is no bench; run `make setup`")
    made = Place(tmp_path_factory.mktemp("place"))
    made.recipe("tiny")
    yield made
    made.janitor()


@pytest.fixture
def start(place: Place) -> Iterator[Start]:
    """Start runs of tiny recipes; what still runs at the end is killed and cleared."""
    made: list[Started] = []

    def begin(*options: str, **more: object) -> Started:
        made.append(Started(place, *options, **more))  # type: ignore[arg-type]
        return made[-1]

    yield begin
    place.go_on()
    alive = [run for run in made if run.process.poll() is None]
    for run in made:
        run.kill()
    if alive:
        place.janitor()
