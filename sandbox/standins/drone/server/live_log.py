"""The log of a running step: entries as they are cut from reads, their last 5 MB, and who follows.

Measured: lines reach a follower in batches of one second; a follower who falls 5,000 entries
behind loses some; who comes later gets the last 5,000; once 5 MB are reached nobody gets any more
before the step has ended.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

KEPT = 5 * 1024 * 1024  # bytes
REPLAYED = 5000  # entries
BATCH = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Line:
    """One entry; `time` is in seconds since the step's start."""

    pos: int
    out: str
    time: int

    def json(self) -> dict[str, Any]:
        """Return it as Drone shows it."""
        return {"pos": self.pos, "out": self.out, "time": self.time}


Follower = queue.Queue[Line | None]  # None: the step has ended


class LiveLog:
    """The log of one running step."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._kept: deque[tuple[Line, int]] = deque()
        self._size = 0
        self._next = 0
        self._live = True
        self._pending: list[Line] = []
        self._published: deque[Line] = deque(maxlen=REPLAYED)
        self._followers: list[Follower] = []
        self._closed = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def write(self, chunk: bytes) -> None:
        """Add one read of the step's output; after the end it is dropped."""
        with self._lock:
            if self._closed.is_set():
                return
            seconds = int(time.monotonic() - self._start)
            for part in cut(chunk):
                self._add(Line(self._next, part.decode(errors="replace"), seconds), len(part))
                self._next += 1

    def close(self) -> list[Line]:
        """End the log and return what is kept of it."""
        self._publish()
        with self._lock:
            self._closed.set()
            for follower in self._followers:
                _put(follower, None)
            return [line for line, _ in self._kept]

    def follow(self, *, ping: float) -> Iterator[Line | None]:
        """Yield entries until the step ends, and None after `ping` seconds without one."""
        follower: Follower = queue.Queue(REPLAYED)
        with self._lock:
            if self._closed.is_set():
                return
            replayed = list(self._published)
            self._followers.append(follower)
        yield from replayed
        try:
            while True:
                try:
                    line = follower.get(timeout=ping)
                except queue.Empty:
                    yield None
                    continue
                if line is None:
                    return
                yield line
        finally:
            with self._lock:
                self._followers.remove(follower)

    def _add(self, line: Line, size: int) -> None:
        while self._kept and self._size + size > KEPT:
            self._size -= self._kept.popleft()[1]
            self._live = False
            self._pending.clear()
        self._kept.append((line, size))
        self._size += size
        if self._live:
            self._pending.append(line)

    def _tick(self) -> None:
        while not self._closed.wait(BATCH):
            self._publish()

    def _publish(self) -> None:
        with self._lock:
            batch, self._pending = self._pending, []
            self._published.extend(batch)
            for follower in self._followers:
                for line in batch:
                    if not _put(follower, line):
                        break


def cut(chunk: bytes) -> list[bytes]:
    """Return the entries of one read: a single line whole, several after each newline.

    What follows the last newline of several lines is an entry as well, even when it is empty; a
    line that two reads share becomes two entries.
    """
    if b"\n" not in chunk[:-1]:
        return [chunk]
    lines = chunk.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + [lines[-1]]


def _put(follower: Follower, line: Line | None) -> bool:
    """Hand an entry over; the end makes room for itself, an entry is lost when there is none."""
    try:
        follower.put_nowait(line)
        return True
    except queue.Full:
        if line is None:
            follower.get_nowait()
            follower.put_nowait(line)
        return False
