"""Check whether the host is short of disk space, inodes or memory.

`MemAvailable` in /proc/meminfo is the memory available without swapping. /proc/pressure/memory, on kernels
that have it, is the share of the last 10 s in which all tasks were stalled on memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIN_MEMORY = 256 * 1024**2  # bytes; with less the kernel starts to kill processes
MAX_STALL = 25.0  # per cent of 10 s in which all tasks were stalled on memory
GIB, MIB = 1024**3, 1024**2


@dataclass(frozen=True, slots=True)
class Need:
    """Free bytes and inodes that a folder's file system must have; `what` is the folder's purpose."""

    folder: Path
    what: str
    bytes: int
    inodes: int


def shortage(need: Need, statvfs: Callable[[Path], os.statvfs_result] | None = None) -> str:
    """Return a sentence about what a file system lacks, or "".

    Args:
        need: the folder and what it must have free.
        statvfs: for tests; `os.statvfs` if None.
    """
    try:
        found = (statvfs or os.statvfs)(need.folder)
    except OSError:
        return ""  # e.g. Docker's folder for another user; a write that fails there is reported
    folder = f"'{need.folder}' ({need.what})"
    if found.f_flag & os.ST_RDONLY:
        return f"the file system of {folder} is mounted read-only"
    free = found.f_bavail * found.f_frsize
    if free < need.bytes:
        return f"only {size(free)} are free in {folder}; {size(need.bytes)} are needed"
    if found.f_files and found.f_favail < need.inodes:
        return f"only {found.f_favail} inodes are free in {folder}; {need.inodes} are needed"
    return ""


def size(count: int) -> str:
    """Return a number of bytes as GiB or MiB."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.1f} MiB"


def memory_shortage(proc: Path = Path("/proc")) -> str:
    """Return a sentence if the host is short of memory, or ""."""
    available = _number(proc / "meminfo", r"^MemAvailable:\s+(\d+) kB")
    if available is not None and available * 1024 < MIN_MEMORY:
        return (
            f"only {size(int(available * 1024))} of memory are available on this host; "
            f"{size(MIN_MEMORY)} are needed"
        )
    stall = _number(proc / "pressure" / "memory", r"^full avg10=([\d.]+)")
    if stall is not None and stall > MAX_STALL:
        return f"memory pressure: all tasks were stalled for {stall:.0f} % of the last 10 s"
    return ""


def oom_kills(proc: Path = Path("/proc")) -> int:
    """Return how many processes the kernel's OOM killer has killed since boot."""
    return int(_number(proc / "vmstat", r"^oom_kill (\d+)") or 0)


def _number(path: Path, pattern: str) -> float | None:
    try:
        match = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return float(match[1]) if match else None
