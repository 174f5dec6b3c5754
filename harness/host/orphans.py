"""What a dead run left running, and its end.

Every child of a run carries the run's directory in its environment (`CCCI_RUN`): its id is a build number,
which two Drones on one machine both give. A command that abra runs in the backup bot's container carries
the app's domain instead (`SERVICE`). A child may drop its environment, so
whatever descends from a marked process, or lives in a session that one leads, counts too. A lock is free
only once its holder's unfinished forks have gone on to be programs of their own, so whoever holds a dead
run's lock finds them marked.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.errors import TimedOut
from harness.host import wait

KILL_DELAY = 3.0  # seconds between SIGTERM and SIGKILL
END_TIMEOUT = 15.0  # seconds until even a process that cannot be killed is given up
POLL_INTERVAL = 0.05  # seconds
QUIET_TIME = 0.1  # seconds of silence: a fork that was between two programs has been seen by then
DEAD = frozenset(
    "ZX"
)  # states of /proc/<pid>/stat: nothing runs any more, somebody has to collect it


@dataclass(frozen=True, slots=True)
class Process:
    """A process that no other can be taken for: its id with its start, in ticks since boot."""

    pid: int
    started: str
    parent: int
    session: int

    def __str__(self) -> str:
        return f"process {self.pid}"


def running(pid: int) -> Process | None:
    """Return a process that runs, None where there is none or where only its exit status is left."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent, _, session, *rest = text.rpartition(")")[2].split()
    return None if state in DEAD else Process(pid, rest[15], int(parent), int(session))


def run_mark(folder: Path) -> str:
    """Return the value of `CCCI_RUN` for the children of the run with this directory."""
    return str(folder.resolve())


def find(folder: Path, domains: Collection[str] = ()) -> list[Process]:
    """Return what still runs of a run, without ourselves and those that started us.

    folder: the run's directory. domains: of the run's apps.
    """
    marks = {
        f"CCCI_RUN={run_mark(folder)}".encode(),
        *(f"SERVICE={domain}".encode() for domain in domains),
    }
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    marked = {pid for pid in pids if marks & _environment(pid)}
    if not marked:
        return []
    everything = {pid: process for pid in pids if (process := running(pid))}
    found = _with_offspring(marked & everything.keys(), everything.values())
    return [everything[pid] for pid in sorted(found - _ourselves(everything))]


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def _with_offspring(found: set[int], everything: Collection[Process]) -> set[int]:
    """Return processes with their descendants and with the sessions that any of them leads."""
    more = {p.pid for p in everything if p.parent in found or p.session in found} - found
    return _with_offspring(found | more, everything) if more else found


def _ourselves(everything: dict[int, Process]) -> set[int]:
    own, pid = set(), os.getpid()
    while pid in everything:
        own.add(pid)
        pid = everything[pid].parent
    return own


def terminate(folder: Path, domains: Collection[str] = ()) -> list[Process]:
    """End everything that still runs of a run: SIGTERM, then SIGKILL; return what would not end.

    What such a process starts while it is being ended is found and ended as well.
    """
    seen: dict[tuple[int, str], float] = {}

    def look() -> wait.Look[bool]:
        living = find(folder, domains)
        now = time.monotonic()
        for process in living:
            first = seen.setdefault((process.pid, process.started), now)
            if first == now:
                _send(process, signal.SIGTERM)
            elif now - first >= KILL_DELAY:
                _send(process, signal.SIGKILL)
        return wait.Look("", None if living else True)

    with suppress(TimedOut):
        wait.until(
            look, what="orphans to end", timeout=END_TIMEOUT, every=POLL_INTERVAL, stable=QUIET_TIME
        )
        return []
    return find(folder, domains)


def _send(process: Process, sign: signal.Signals) -> None:
    """Send a signal to just this process, never to another that got its id meanwhile."""
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            now = running(process.pid)
            if now is not None and now.started == process.started:
                signal.pidfd_send_signal(handle, sign)
        finally:
            os.close(handle)
