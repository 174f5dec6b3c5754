"""The one waiting loop, on a clock that moves when slept on."""

import pytest

from harness.errors import RecipeFailure, TimedOut
from harness.host.wait import Clock, Look, until


class Time:
    """A clock for tests: sleeping moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        """Return it as the loop wants it."""
        return Clock(now=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_value_of_a_good_look_is_returned() -> None:
    """The loop ends with the first value."""
    looks = iter([Look("a", None), Look("b", 7)])
    assert until(lambda: next(looks), what="x", timeout=9, clock=Time().clock()) == 7


def test_a_timeout_says_what_for_and_what_was_seen_last() -> None:
    """The message of a timeout is enough to know where to look (incident C8)."""
    with pytest.raises(TimedOut, match=r"waited 5 s for the tide; last seen: ebb"):
        until(lambda: Look("ebb", None), what="the tide", timeout=5, every=1, clock=Time().clock())


def test_only_changes_are_reported_and_a_heartbeat_every_ten_seconds() -> None:
    """Nothing is silent for longer than ten seconds, and nothing is said twice before."""
    said: list[str] = []
    with pytest.raises(TimedOut):
        until(
            lambda: Look("same", None),
            what="x",
            timeout=25,
            every=1,
            progress=said.append,
            clock=Time().clock(),
        )
    assert said[0] == "same"
    assert [line[:17] for line in said[1:]] == ["still waiting for"] * 2


def test_a_window_of_stability_starts_again_after_a_bad_look() -> None:
    """Good looks must last for the whole window without a bad one between."""
    time = Time()
    answers = iter([1, None, 1, 1, 1])
    until(
        lambda: Look("", next(answers)), what="x", timeout=9, every=1, stable=2, clock=time.clock()
    )
    assert time.now == 4


def test_an_error_of_the_look_ends_the_wait_at_once() -> None:
    """A look gives up early by raising."""

    def look() -> Look[int]:
        raise RecipeFailure("hopeless")

    with pytest.raises(RecipeFailure, match="hopeless"):
        until(look, what="x", timeout=9, clock=Time().clock())
