"""Find and stop the processes that a dead run left behind.

Every child of a run has the run's directory in its environment (`CCCI_RUN`); the run's id is not enough,
because two Drones on one machine may give the same build number. A command that abra runs in the
backup bot's container has the app's domain instead (`SERVICE`). A child may drop its environment, so
descendants of a marked process and members of a session that it leads count as well. A forked child keeps
the run's lock until it executes another program. So when the lock of a dead run is free, every child that is
left has the mark.
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
END_TIMEOUT = 15.0  # seconds; then we stop waiting for a process that cannot be killed
POLL_INTERVAL = 0.05  # seconds
QUIET_TIME = 0.1  # seconds without a find; by then a child between fork and exec was seen
DEAD = frozenset("ZX")  # states in /proc/<pid>/stat: exited, not yet reaped by its parent


@dataclass(frozen=True, slots=True)
class Process:
    """A process, identified by its id and its start (ticks since boot), since ids are reused."""

    pid: int
    started: str
    parent: int
    session: int

    def __str__(self) -> str:
        return f"process {self.pid}"


def running(pid: int) -> Process | None:
    """Return the process with this id if it runs; None if it is unknown or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, parent, _, session, *rest = text.rpartition(")")[2].split()
    return None if state in DEAD else Process(pid, rest[15], int(parent), int(session))


def run_mark(folder: Path) -> str:
    """Return the value of `CCCI_RUN` for the children of a run with this directory."""
    return str(folder.resolve())


def find(folder: Path, domains: Collection[str] = ()) -> list[Process]:
    """Return the processes of a run that still run, except this process and its ancestors.

    Args:
        folder: the run's directory.
        domains: domains of the run's apps.
    """
    marks = {
        f"CCCI_RUN={run_mark(folder)}".encode(),
        *(f"SERVICE={domain}".encode() for domain in domains),
    }
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    marked = {pid for pid in pids if marks & _environment(pid)}
    if not marked:
        return []
    all_processes = {pid: process for pid in pids if (process := running(pid))}
    found = _with_descendants(marked & all_processes.keys(), all_processes.values())
    return [all_processes[pid] for pid in sorted(found - _ourselves(all_processes))]


def _environment(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def _with_descendants(found: set[int], everything: Collection[Process]) -> set[int]:
    """Return processes with their descendants and the members of sessions that they lead."""
    more = {p.pid for p in everything if p.parent in found or p.session in found} - found
    return _with_descendants(found | more, everything) if more else found


def _ourselves(everything: dict[int, Process]) -> set[int]:
    own, pid = set(), os.getpid()
    while pid in everything:
        own.add(pid)
        pid = everything[pid].parent
    return own


def terminate(folder: Path, domains: Collection[str] = ()) -> list[Process]:
    """Stop all processes of a run, SIGTERM then SIGKILL; return those that are still running.

    Processes that they start meanwhile are found and stopped as well.

    Args:
        folder: the run's directory.
        domains: domains of the run's apps.
    """
    seen: dict[tuple[int, str], float] = {}

    def look() -> wait.Look[bool]:
        left = find(folder, domains)
        now = time.monotonic()
        for process in left:
            first = seen.setdefault((process.pid, process.started), now)
            if first == now:
                _send(process, signal.SIGTERM)
            elif now - first >= KILL_DELAY:
                _send(process, signal.SIGKILL)
        return wait.Look("", None if left else True)

    with suppress(TimedOut):
        wait.until(
            look,
            what="orphans to exit",
            timeout=END_TIMEOUT,
            every=POLL_INTERVAL,
            stable=QUIET_TIME,
        )
        return []
    return find(folder, domains)


def _send(process: Process, sign: signal.Signals) -> None:
    """Send a signal to this process, never to another one that has got its id meanwhile."""
    with suppress(OSError):
        handle = os.pidfd_open(process.pid)
        try:
            now = running(process.pid)
            if now is not None and now.started == process.started:
                signal.pidfd_send_signal(handle, sign)
        finally:
            os.close(handle)
