"""A port is ready when it accepts three connections in a row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.errors import InfraError, TimedOut
from harness.host import wait
from harness.swarm import containers, probe


def clock() -> wait.Clock:
    """Return a clock that sleep moves."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return wait.Clock(lambda: now[0], sleep)


def attempts(answers: Iterator[bool], timeout: float = 30.0) -> int:
    """Wait for a port that accepts or refuses like this; return how often it was tried."""
    count = 0

    def connect(address: tuple[str, int]) -> bool:
        nonlocal count
        count += 1
        assert address == ("172.18.0.9", 64738)
        return next(answers)

    probe.until_ready(
        lambda: ("172.18.0.9", 64738),
        what="'voice:64738'",
        timeout=timeout,
        connect=connect,
        clock=clock(),
    )
    return count


def test_incident_r3_one_connection_is_not_enough() -> None:
    """R3: the old task still accepts while it is being stopped."""
    assert attempts(iter([True, False, True, True, False, True, True, True])) == 8


def test_a_port_that_never_listens_is_named_in_the_timeout() -> None:
    with pytest.raises(TimedOut, match=r"'voice:64738' to listen; last seen: .* refuses"):
        attempts(iter(lambda: False, None), timeout=5.0)


def test_a_closed_port_does_not_accept() -> None:
    assert not probe.accepts(("127.0.0.1", 1))


def test_a_container_without_an_address_is_an_infrastructure_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A network that the host cannot reach is not the recipe's fault."""

    class Engine:
        def inspect_network(self, name: str) -> dict[str, object]:
            return {"Containers": {}}

    monkeypatch.setattr(containers, "find", lambda stack, service: "c1")
    with pytest.raises(InfraError, match=r"'s_voice' has no address on docker_gwbridge"):
        probe.address("s", "voice:1", Engine())
