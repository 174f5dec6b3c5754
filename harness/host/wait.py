"""The only waiting loop; nothing else in the harness sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import TimedOut

T = TypeVar("T")

ProgressLog = Callable[[str], None]
HEARTBEAT_INTERVAL = 10.0  # seconds; the longest time without a line of progress


@dataclass(frozen=True)
class Clock:
    """The time that a loop uses; tests pass one whose sleep moves it."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL = Clock()


@dataclass(frozen=True)
class Look(Generic[T]):
    """The result of one look at what is waited for.

    Attributes:
        seen: the current state, in a few words.
        value: the result of the wait; None while it must go on.
    """

    seen: str
    value: T | None = None


def until(
    look: Callable[[], Look[T]],
    *,
    what: str,
    timeout: float,
    every: float = 0.1,
    stable: float = 0.0,
    progress: ProgressLog = lambda line: None,
    clock: Clock = REAL,
) -> T:
    """Call `look` until it returns a value, and return that value.

    Args:
        look: looks once. An error that it raises ends the wait immediately.
        what: what is waited for, as part of a sentence ("the services of x to settle").
        timeout: seconds to wait.
        every: seconds between two looks.
        stable: seconds for which every look must return a value before the wait is over.
        progress: receives each change of what is seen, and a line every 10 s.
        clock: the time to use.

    Raises:
        TimedOut: no value after `timeout` seconds; the message has what was seen last.
    """
    start = clock.now()
    good_since: float | None = None
    last_seen, last_report = "", start
    while True:
        result = look()
        now = clock.now()
        if result.seen != last_seen:
            last_seen, last_report = result.seen, now
            progress(result.seen)
        elif now - last_report >= HEARTBEAT_INTERVAL:
            last_report = now
            progress(
                f"still waiting for {what} ({now - start:.0f} s of {timeout:.0f} s): {last_seen}"
            )
        if result.value is None:
            good_since = None
        else:
            good_since = now if good_since is None else good_since
            if now - good_since >= stable:
                return result.value
        if now - start >= timeout:
            raise TimedOut(
                f"waited {timeout:.0f} s for {what}; last seen: {last_seen or 'nothing'}"
            )
        clock.sleep(every)
