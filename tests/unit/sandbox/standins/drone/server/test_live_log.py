"""The log of a running step: entries, overflow and followers."""

from __future__ import annotations

import pytest

from sandbox.standins.drone.server.live_log import MAX_REPLAYED, LiveLog, split_entries

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(
    ("chunk", "entries"),
    [
        (b"one\n", [b"one\n"]),
        (b"half", [b"half"]),
        (b"\n", [b"\n"]),
        (b"one\ntwo\n", [b"one\n", b"two\n", b""]),
        (b"one\nhal", [b"one\n", b"hal"]),
        (b"\n\n", [b"\n", b"\n", b""]),
    ],
)
def test_reads_are_split_after_newlines(chunk: bytes, entries: list[bytes]) -> None:
    """Measured: the text after the last newline is an entry even if it is empty, except for a single line."""
    assert split_entries(chunk) == entries


def test_a_log_that_overflows_stops_streaming() -> None:
    """The oldest entries are dropped, and followers get nothing more."""
    live = LiveLog()
    for _ in range(6):
        live.write(b"x" * (1024 * 1024 - 1) + b"\n")
    follower = live.follow(ping=0.01)
    assert next(follower) is None
    kept = live.close()
    assert [entry.pos for entry in kept] == [1, 2, 3, 4, 5]
    assert list(follower) == []


def test_a_late_follower_gets_the_last_5000_entries() -> None:
    live = LiveLog()
    live.write(b"x\n" * 7000)
    live._publish()
    follower = live.follow(ping=1)
    first = next(follower)
    assert first is not None and first.pos == 7001 - MAX_REPLAYED
    live.close()
    assert len(list(follower)) == MAX_REPLAYED - 1
