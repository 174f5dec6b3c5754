"""The one waiting loop, and the one place that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import TimedOut

T = TypeVar("T")

ProgressLog = Callable[[str], None]
HEARTBEAT = 10.0  # seconds; nothing the harness does is silent for longer


@dataclass(frozen=True)
class Clock:
    """Time as the loops see it; tests put in one that moves when slept on."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL = Clock()


@dataclass(frozen=True)
class Look(Generic[T]):
    """What one look at the world said.

    `value` is set once the wait is over; `seen` is a short text of the present state.
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
    """Look again and again until `look` returns a value, and return that value.

    what: what is waited for, as a sentence part ("the services of x to settle").
    timeout, every, stable: seconds; with `stable`, looks must stay good for that long.
    progress: told each change of what is seen, and every 10 s that the wait goes on.

    Raises:
        TimedOut: not there after `timeout` seconds; says what was seen last.
        Any error of `look`, at once: that is how a look gives up early.
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
        elif now - last_report >= HEARTBEAT:
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
