"""The view of the Swarm, and an engine that is away for a while."""

from __future__ import annotations

import pytest
from docker.errors import DockerException

from harness.errors import InfraError
from harness.swarm import engine as swarm

pytestmark = pytest.mark.usefixtures("moving_clock")


class Engine:
    """An engine that refuses to answer some times."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def services(self, **options: object) -> list[object]:
        """List services, once it is there."""
        if self.refusals:
            self.refusals -= 1
            raise DockerException("connection refused")
        return []


@pytest.mark.parametrize(("refusals", "told"), [(0, []), (9, ["Docker does not answer", ""])])
def test_an_engine_that_is_restarted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, refusals: int, told: list[str]
) -> None:
    """Who tears down waits until it can, and says for what; with an engine there it costs one call."""
    engine, said = Engine(refusals), []
    monkeypatch.setattr(swarm, "client", lambda: engine)
    swarm.await_engine(said.append)
    assert engine.refusals == 0
    assert [line.partition(":")[0] for line in said] == told


def test_an_engine_that_stays_away_is_our_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait has a bound, and its message what was seen last."""
    monkeypatch.setattr(swarm, "client", lambda: Engine(10**6))
    with pytest.raises(InfraError, match=r"waited 60 s for Docker to answer.*connection refused"):
        swarm.await_engine(lambda line: None)
