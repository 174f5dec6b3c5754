"""Waiting for something that happens, bounded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
EVERY = 0.03  # seconds


def until(what: str, look: Callable[[], T | None], *, within: float = 20.0) -> T:
    """Return the first true answer of `look`.

    within: seconds.

    Raises:
        AssertionError: there was none in time; says what was waited for and the last answer.
    """
    end = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {within:.0f} s for {what}; last seen: {seen!r}"
        time.sleep(EVERY)


def living(pid: int) -> bool:
    """Say whether a process is there and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


def number_in(path: Path) -> int:
    """Return the number that a step wrote into a file, 0 while it is not there."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def end(pid: int) -> None:
    """Kill one process, if it is still there."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
