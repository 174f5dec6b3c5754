"""The log of a running step: its entries, of which the last 5 MB are kept, and its followers.

Measured on a real Drone: entries reach a follower in batches of one second. A follower that is more than
5,000 entries behind loses some. A late follower gets the last 5,000. Once the log has 5 MB, followers get
nothing more before the step has finished.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_LOG_SIZE = 5 * 1024 * 1024  # bytes
MAX_REPLAYED = 5000  # entries
BATCH_INTERVAL = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `time` is seconds since the step started."""

    pos: int
    out: str
    time: int

    def json(self) -> dict[str, Any]:
        """Return the entry as Drone shows it."""
        return {"pos": self.pos, "out": self.out, "time": self.time}


Follower = queue.Queue[Entry | None]  # None: the step has finished


class LiveLog:
    """The log of one running step."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._kept: deque[tuple[Entry, int]] = deque()
        self._size = 0
        self._next = 0
        self._streaming = True
        self._pending: list[Entry] = []
        self._published: deque[Entry] = deque(maxlen=MAX_REPLAYED)
        self._followers: list[Follower] = []
        self._closed = threading.Event()
        threading.Thread(target=self._publish_regularly, daemon=True).start()

    def write(self, chunk: bytes) -> None:
        """Add the output of one read; it is dropped if the log is closed."""
        with self._lock:
            if self._closed.is_set():
                return
            seconds = int(time.monotonic() - self._start)
            for part in split_entries(chunk):
                self._add(Entry(self._next, part.decode(errors="replace"), seconds), len(part))
                self._next += 1

    def close(self) -> list[Entry]:
        """Close the log and return the entries that are kept."""
        self._publish()
        with self._lock:
            self._closed.set()
            for follower in self._followers:
                _put(follower, None)
            return [entry for entry, _ in self._kept]

    def follow(self, *, ping: float) -> Iterator[Entry | None]:
        """Yield entries until the step finishes, and None after every `ping` seconds without one."""
        follower: Follower = queue.Queue(MAX_REPLAYED)
        with self._lock:
            if self._closed.is_set():
                return
            replayed = list(self._published)
            self._followers.append(follower)
        yield from replayed
        try:
            while True:
                try:
                    entry = follower.get(timeout=ping)
                except queue.Empty:
                    yield None
                    continue
                if entry is None:
                    return
                yield entry
        finally:
            with self._lock:
                self._followers.remove(follower)

    def _add(self, entry: Entry, size: int) -> None:
        while self._kept and self._size + size > MAX_LOG_SIZE:
            self._size -= self._kept.popleft()[1]
            self._streaming = False
            self._pending.clear()
        self._kept.append((entry, size))
        self._size += size
        if self._streaming:
            self._pending.append(entry)

    def _publish_regularly(self) -> None:
        while not self._closed.wait(BATCH_INTERVAL):
            self._publish()

    def _publish(self) -> None:
        with self._lock:
            batch, self._pending = self._pending, []
            self._published.extend(batch)
            for follower in self._followers:
                for entry in batch:
                    if not _put(follower, entry):
                        break


def split_entries(chunk: bytes) -> list[bytes]:
    """Split the output of one read into entries, as Drone does.

    A single line is one entry. Of several lines each is an entry, and so is the text after the last newline,
    even if it is empty. A line that arrives in two reads becomes two entries.
    """
    if b"\n" not in chunk[:-1]:
        return [chunk]
    lines = chunk.split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + [lines[-1]]


def _put(follower: Follower, entry: Entry | None) -> bool:
    """Queue an entry; a full queue loses it, but the end mark replaces an older entry."""
    try:
        follower.put_nowait(entry)
        return True
    except queue.Full:
        if entry is None:
            follower.get_nowait()
            follower.put_nowait(entry)
        return False
