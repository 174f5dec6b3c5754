"""Ports that a suite names: an app counts as up when each accepts three connections in a row."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.errors import InfraError, TimedOut
from harness.host import wait
from harness.swarm import probe


def clock() -> wait.Clock:
    """A clock that moves when slept on."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return wait.Clock(lambda: now[0], sleep)


def asked(answers: Iterator[bool], timeout: float = 30.0) -> int:
    """Wait until ready with a listener of these answers; return how often it was asked."""
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


def test_incident_r3_a_listener_that_drops_again_is_not_ready() -> None:
    """R3: the old task accepts once and goes; only three in a row are the new one."""
    assert asked(iter([True, False, True, True, False, True, True, True])) == 8


def test_a_listener_that_never_comes_is_a_timeout_that_names_it() -> None:
    """The message says what was waited for and what was seen last."""
    with pytest.raises(TimedOut, match=r"'voice:64738' to listen; last seen: .* refuses"):
        asked(iter(lambda: False, None), timeout=5.0)


def test_a_closed_port_is_not_accepting() -> None:
    """Refused is an answer, not an error."""
    assert not probe.accepts(("127.0.0.1", 1))


def test_a_container_without_an_address_is_our_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that the host cannot reach is no fault of the recipe."""

    class Engine:
        def inspect_network(self, name: str) -> dict[str, object]:
            return {"Containers": {}}

    monkeypatch.setattr(probe.containers, "find", lambda stack, service: "c1")
    with pytest.raises(InfraError, match=r"'s_voice' has no address on docker_gwbridge"):
        probe.address("s", "voice:1", Engine())
