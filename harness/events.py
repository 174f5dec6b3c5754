"""What happened in a run, one flushed JSON line each: the only source of every report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "::cc-ci:: "  # starts the lines of a build's log that the bridge may believe
TOLD = frozenset({"run-started", "stage-started", "case", "run-finished"})


@dataclass(frozen=True, slots=True)
class Event:
    """One event: when (unix seconds), its name, and the rest as recorded."""

    t: float
    name: str
    data: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a value as text, "" where it is absent."""
        value = self.data.get(key)
        return "" if value is None else str(value)


class EventLog:
    """Appends events to a file; every text goes through `scrub` first."""

    def __init__(self, path: Path, scrub: Callable[[str], str] = lambda text: text) -> None:
        self._scrub = scrub
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def write(self, event: str, /, **data: object) -> Event:
        """Write one event as one line, with one system call, and return it."""
        made = Event(round(time.time(), 3), event, self._clean(data))
        os.write(self._fd, (to_line(made) + "\n").encode())
        return made

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._scrub(value)
        if isinstance(value, dict):
            return {key: self._clean(inner) for key, inner in value.items()}
        return [self._clean(inner) for inner in value] if isinstance(value, list | tuple) else value


def to_line(event: Event) -> str:
    """Return an event as one line of JSON."""
    return json.dumps({"t": event.t, "event": event.name, **event.data}, ensure_ascii=False)


def read(path: Path) -> list[Event]:
    """Return all events of a file; a torn last line and broken lines are left out."""
    events = []
    for line in path.read_bytes().splitlines():
        try:
            row = json.loads(line)
            events.append(Event(float(row.pop("t")), str(row.pop("event")), row))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return events


def marked(event: Event) -> str | None:
    """Return the line for the build's log, or None for events that are not told there."""
    return MARK + to_line(event) if event.name in TOLD else None


def unforgeable(text: str) -> str:
    """Return text of an app or test with no line that could be taken for a marked one."""
    return "\n".join(f"| {line}" if MARK.strip() in line else line for line in text.split("\n"))
