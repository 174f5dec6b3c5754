"""Waiting with a timeout, and looking at processes that a test has started indirectly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
POLL_INTERVAL = 0.03  # seconds


def until(what: str, look: Callable[[], T | None], *, timeout: float = 20.0) -> T:
    """Call a function until it returns something true, and return that.

    Args:
        what: what the test waits for, for the message.
        look: the function.
        timeout: seconds.

    Raises:
        AssertionError: it timed out; the message has the last value.
    """
    end = time.monotonic() + timeout
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}; last seen: {seen!r}"
        time.sleep(POLL_INTERVAL)


def is_alive(pid: int) -> bool:
    """Return True if a process exists and is not a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rsplit(")", 1)[1].split()[0] != "Z"


def read_number(path: Path) -> int:
    """Return the number in a file, 0 as long as there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def kill(pid: int) -> None:
    """Kill one process if it still exists."""
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
