"""Waiting for an engine that does not answer."""

from __future__ import annotations

import pytest
from docker.errors import DockerException

from harness.errors import InfraError
from harness.swarm import engine as swarm

pytestmark = pytest.mark.usefixtures("moving_clock")


class Engine:
    """A fake engine that refuses some calls."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def services(self, **options: object) -> list[object]:
        """List services, after the refusals."""
        if self.refusals:
            self.refusals -= 1
            raise DockerException("connection refused")
        return []


@pytest.mark.parametrize(("refusals", "lines"), [(0, []), (9, ["Docker does not answer", ""])])
def test_an_engine_that_is_restarted_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, refusals: int, lines: list[str]
) -> None:
    """A teardown needs it; if the engine answers, the check costs one call."""
    engine = Engine(refusals)
    seen: list[str] = []
    monkeypatch.setattr(swarm, "client", lambda: engine)
    swarm.await_engine(seen.append)
    assert engine.refusals == 0
    assert [line.partition(":")[0] for line in seen] == lines


def test_an_engine_that_does_not_come_back_is_an_infrastructure_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swarm, "client", lambda: Engine(10**6))
    with pytest.raises(InfraError, match=r"waited 60 s for Docker to answer.*connection refused"):
        swarm.await_engine(lambda line: None)
