"""Limits for a whole tree of processes, by control groups (cgroups) of version 2 or 1.

Limits of single processes add up; these do not. The kernel removes a group only when no process is left
in it, so removing it proves that all of them have exited.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InfraError, TimedOut
from harness.host import wait

ROOT = Path("/sys/fs/cgroup")
PREFIX = "cc-ci-"  # before the id of the process that made a group
PERIOD = 100_000  # microseconds; processor time is limited per period
KILL_TIMEOUT = 10.0  # seconds until killed processes must be gone


@dataclass(frozen=True, slots=True)
class Limits:
    """What all processes of a group may use together.

    Attributes:
        memory: bytes, swap included.
        processes: how many at the same time.
        processors: processor time, in processors (0.5 is half of one).
    """

    memory: int
    processes: int
    processors: float


@dataclass(frozen=True, slots=True)
class _Part:
    """One folder of a group with the values to write; `swap` only if the kernel has that file."""

    folder: Path
    values: tuple[tuple[str, str], ...]
    swap: tuple[str, str] = ("", "")


@contextlib.contextmanager
def group(limits: Limits) -> Iterator[tuple[Path, ...]]:
    """Make a control group for the duration of a `with` block; then kill its processes and remove it.

    Args:
        limits: the limits of the group.

    Returns:
        The `cgroup.procs` files into which a process writes its id to join the group.

    Raises:
        InfraError: control groups are not available, or a process could not be killed.
    """
    _sweep()
    parts = _parts(f"{PREFIX}{os.getpid()}", limits)
    folders = [part.folder for part in parts]
    try:
        for part in parts:
            _make(part)
    except OSError as error:
        _remove(folders)
        raise InfraError(
            f"cannot limit processes by control groups: {error}; this needs root and a writable {ROOT}"
        ) from error
    try:
        yield tuple(folder / "cgroup.procs" for folder in folders)
    finally:
        _kill(folders)


def _parts(name: str, limits: Limits) -> list[_Part]:
    memory, pids = str(limits.memory), ("pids.max", str(limits.processes))
    quota = str(int(limits.processors * PERIOD))
    if _is_version_2():
        values = (("memory.max", memory), pids, ("cpu.max", f"{quota} {PERIOD}"))
        return [_Part(ROOT / name, values, ("memory.swap.max", "0"))]
    swap = ("memory.memsw.limit_in_bytes", memory)
    times = (("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", quota))
    return [
        _Part(ROOT / "memory" / name, (("memory.limit_in_bytes", memory),), swap),
        _Part(ROOT / "pids" / name, (pids,)),
        _Part(ROOT / "cpu" / name, times),
    ]


def _is_version_2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _make(part: _Part) -> None:
    if _is_version_2():
        (ROOT / "cgroup.subtree_control").write_text("+cpu +memory +pids")
    part.folder.mkdir(exist_ok=True)
    for key, value in part.values:
        (part.folder / key).write_text(value)
    key, value = part.swap
    if key and (part.folder / key).exists():
        (part.folder / key).write_text(value)


def _kill(folders: list[Path]) -> None:
    """Kill the processes of a group until none is left, and remove the group.

    Raises:
        InfraError: a process could not be killed.
    """

    def look() -> wait.Look[bool]:
        left = _processes(folders)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gone = not left and _remove(folders)
        return wait.Look(f"{len(left)} processes left", gone or None)

    try:
        wait.until(look, what="killed processes to exit", timeout=KILL_TIMEOUT, every=0.01)
    except TimedOut as error:
        raise InfraError(f"a process could not be killed: {error}") from error


def _processes(folders: list[Path]) -> set[int]:
    found: set[int] = set()
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            found |= {int(line) for line in (folder / "cgroup.procs").read_text().split()}
    return found


def _remove(folders: list[Path]) -> bool:
    """Remove groups; return False if one still has a process, even an exiting one."""
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _sweep() -> None:
    """Remove the groups that killed harness processes left behind."""
    for folder in (*ROOT.glob(f"{PREFIX}*"), *ROOT.glob(f"*/{PREFIX}*")):
        if not Path("/proc", folder.name.removeprefix(PREFIX)).exists():
            _remove([folder])
