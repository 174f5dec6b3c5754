"""The events of a run, one line of JSON each: the only source of all reports."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import marker
from contract.report_line import shorten
from harness.errors import InfraError
from harness.secret import MASK

PUBLIC_EVENTS = frozenset({"run-started", "stage-started", "case", "run-finished"})
RESERVED_SIZE = 1024 * 1024  # bytes of disk reserved for the events of a run
MAX_TAIL = 65_536  # bytes at the end of a file in which the last events are
FALLOC_FL_KEEP_SIZE = 1  # of Linux
SECRET_NAME = re.compile(r"secret|password|token|credential|(?<![a-z])key(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its time in unix seconds, its name, and the rest as recorded."""

    t: float
    name: str
    data: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a value as text, "" if it is absent."""
        value = self.data.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> float:
        """Return a value as a finite number, 0 if it is not one."""
        try:
            value = float(self.data.get(key) or 0.0)
        except (TypeError, ValueError, OverflowError):
            return 0.0
        return value if math.isfinite(value) else 0.0

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list as texts, empty if the value is not a list."""
        value = self.data.get(key)
        return tuple(str(item) for item in value) if isinstance(value, list) else ()


@dataclass(frozen=True, slots=True)
class StoredEvents:
    """The content of a file of events.

    Attributes:
        events: its events.
        unreadable: number of lines that are not events.
        torn: the last line is incomplete, as after a crash.
    """

    events: tuple[Event, ...]
    unreadable: int = 0
    torn: bool = False


class EventLog:
    """Appends events to a file.

    A full disk does not stop a run from being recorded: space is reserved when the file is created, and
    events that cannot be written are kept and tried again with the next one.

    Attributes:
        written: all events passed to this object, for a disk that cannot even be read any more.
        write_error: why events cannot be written to the file, "" while they can; once set, it stays.
    """

    def __init__(
        self,
        path: Path,
        scrub: Callable[[str], str] = lambda text: text,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file.

        Args:
            path: the file.
            scrub: masks secrets; every text passes through it.
            now: returns unix seconds.

        Raises:
            InfraError: the file cannot be created, or the disk has no space for the events of a run.
        """
        self._path = path
        self._scrub = scrub
        self._now = now
        self._pending: list[Event] = []
        self.written: list[Event] = []
        self.write_error = ""
        try:
            self._fd = self._open()
            _reserve(self._fd)
        except OSError as error:
            raise InfraError(f"cannot record events in '{path}': {error.strerror}") from error
        self._torn = self._ends_torn()

    @property
    def unwritten(self) -> tuple[Event, ...]:
        """Events that are not in the file yet."""
        return tuple(self._pending)

    def write(self, event: str, /, **data: object) -> Event:
        """Write one event as one line and return it, masked; see `write_error` for failures."""
        clean = {key: self._value(key, value) for key, value in data.items()}
        made = Event(round(self._now(), 3), event, clean)
        self._pending.append(made)
        self.written.append(made)
        try:
            while self._pending:
                self._append(to_line(self._pending[0]))
                self._pending.pop(0)
        except OSError as error:
            self.write_error = self.write_error or (
                f"cannot record an event in '{self._path}': {error.strerror}; is the disk full?"
            )
        return made

    def restore(self) -> bool:
        """Restore the file to what was written here; return True if it was anything else.

        A suite runs in the same process, so it could write to the file.
        """
        lines = "".join(f"{to_line(event)}\n" for event in self.written)
        try:
            same = self._path.read_bytes() == lines.encode("utf-8", "replace")
            if same or self.write_error:
                return False
            self._path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            return False  # the disk cannot be read; the next write sets `write_error`
        os.close(self._fd)
        self._fd, self._torn, self._pending = self._open(), False, []
        if lines:
            self._append(lines.removesuffix("\n"))
        return True

    def close(self) -> None:
        """Close the file and release reserved space; further events stay unwritten."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size)
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def _ends_torn(self) -> bool:
        size = os.fstat(self._fd).st_size
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def _append(self, line: str) -> None:
        """Write a whole line; in one system call unless the disk accepts only a part of it."""
        begin = "\n" if self._torn else ""
        rest = memoryview(f"{begin}{line}\n".encode("utf-8", "replace"))
        self._torn = True
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._torn = False

    def _clean_all(self, data: Mapping[Any, object]) -> dict[str, Any]:
        """Return a mapping without secrets; values are masked as a whole if their key names a secret."""
        return {self._scrub(str(key)): self._value(str(key), value) for key, value in data.items()}

    def _value(self, key: str, value: object) -> Any:
        return MASK if SECRET_NAME.search(key) else self._clean(value)

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return self._clean_all(value)
        if isinstance(value, list | tuple):
            return [self._clean(inner) for inner in value]
        return self._scrub(str(value))


def _reserve(fd: int) -> None:
    """Reserve space behind the end of a file without changing its size; not every file system can.

    Raises:
        OSError: the disk is full.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    start, size = ctypes.c_int64(os.fstat(fd).st_size), ctypes.c_int64(RESERVED_SIZE)
    if libc.fallocate(fd, FALLOC_FL_KEEP_SIZE, start, size) != 0:
        number = ctypes.get_errno()
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(number, os.strerror(number))


def to_line(event: Event) -> str:
    """Return an event as one line of JSON."""
    return json.dumps({"t": event.t, "event": event.name, **event.data}, ensure_ascii=False)


def read(path: Path) -> StoredEvents:
    """Return the events of a file; a missing file has none."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return StoredEvents(())
    *lines, last = content.split(b"\n")
    found = [_parse(line) for line in lines if line.strip()]
    tail = _parse(last) if last.strip() else None
    torn = bool(last.strip()) and tail is None
    events = [event for event in (*found, tail) if event is not None]
    return StoredEvents(tuple(events), unreadable=found.count(None), torn=torn)


def is_over(path: Path) -> bool:
    """Return True if the end of the run is among the last events of a file; reads only its last lines."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - MAX_TAIL))
        last = [event for line in file.read().split(b"\n") if (event := _parse(line))]
    return bool(last) and any(event.name == "run-finished" for event in last[-3:])


def _parse(line: bytes) -> Event | None:
    try:
        row = json.loads(line)
        t = float(row.pop("t"))
        name = str(row.pop("event"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None
    return Event(t, name, row) if math.isfinite(t) else None


def marked(event: Event) -> str | None:
    """Return the marked line of an event, or None for events that are not in the build's log."""
    if event.name not in PUBLIC_EVENTS:
        return None
    short = {key: _short(value) for key, value in event.data.items() if key != "details"}
    return marker.encode({"t": event.t, "event": event.name, **short})


def _short(value: Any) -> Any:
    return shorten(value) if isinstance(value, str) else value
