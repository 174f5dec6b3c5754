"""The waiting loop, on a clock that sleep moves."""

import pytest

from harness.errors import RecipeFailure, TimedOut
from harness.host.wait import Clock, Look, until


class Time:
    """A clock for tests; sleep moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        """Return the clock."""
        return Clock(now=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_first_value_is_returned() -> None:
    looks = iter([Look("a", None), Look("b", 7)])
    assert until(lambda: next(looks), what="x", timeout=9, clock=Time().clock()) == 7


def test_a_timeout_names_what_was_waited_for_and_seen_last() -> None:
    """The message must be enough to find the cause (incident C8)."""
    with pytest.raises(TimedOut, match=r"waited 5 s for the tide; last seen: ebb"):
        until(lambda: Look("ebb", None), what="the tide", timeout=5, every=1, clock=Time().clock())


def test_progress_gets_changes_and_a_line_every_ten_seconds() -> None:
    lines: list[str] = []
    with pytest.raises(TimedOut):
        until(
            lambda: Look("same", None),
            what="x",
            timeout=25,
            every=1,
            progress=lines.append,
            clock=Time().clock(),
        )
    assert lines[0] == "same"
    assert [line[:17] for line in lines[1:]] == ["still waiting for"] * 2


def test_stable_starts_again_after_a_look_without_value() -> None:
    time = Time()
    answers = iter([1, None, 1, 1, 1])
    until(
        lambda: Look("", next(answers)), what="x", timeout=9, every=1, stable=2, clock=time.clock()
    )
    assert time.now == 4


def test_an_error_of_the_look_ends_the_wait_immediately() -> None:

    def look() -> Look[int]:
        raise RecipeFailure("crash loop")

    with pytest.raises(RecipeFailure, match="crash loop"):
        until(look, what="x", timeout=9, clock=Time().clock())
