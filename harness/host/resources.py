"""What the host is short of right now: room, inodes, memory. Reads and judges, changes nothing.

Memory: `MemAvailable` of /proc/meminfo is what can be had without swapping; /proc/pressure/memory (where
the kernel has it) says which share of the last ten seconds every task stood still for want of memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MIN_MEMORY = 256 * 1024**2  # bytes; below it the kernel begins to end programs
MAX_STALL = 25.0  # per cent of ten seconds in which nothing ran for want of memory
GIB, MIB = 1024**3, 1024**2


@dataclass(frozen=True, slots=True)
class Need:
    """What a folder's file system must have free, and what the folder is for."""

    folder: Path
    what: str
    bytes: int
    inodes: int


def shortage(need: Need, statvfs: Callable[[Path], os.statvfs_result] | None = None) -> str:
    """Return in a sentence what a file system lacks, "" when it has what is needed."""
    try:
        found = (statvfs or os.statvfs)(need.folder)
    except OSError:
        return ""  # another user's view of Docker's folder, say; who writes there will say it
    place = f"'{need.folder}' ({need.what})"
    if found.f_flag & os.ST_RDONLY:
        return f"the file system of {place} is mounted read-only"
    free = found.f_bavail * found.f_frsize
    if free < need.bytes:
        return f"only {size(free)} are free in {place}; {size(need.bytes)} are needed"
    if found.f_files and found.f_favail < need.inodes:
        return f"only {found.f_favail} inodes are free in {place}; {need.inodes} are needed"
    return ""


def size(count: int) -> str:
    """Return a number of bytes in a unit that people read."""
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / MIB:.1f} MiB"


def memory_shortage(proc: Path = Path("/proc")) -> str:
    """Return in a sentence that the host is short of memory, "" when it is not."""
    available = _number(proc / "meminfo", r"^MemAvailable:\s+(\d+) kB")
    if available is not None and available * 1024 < MIN_MEMORY:
        return (
            f"only {size(int(available * 1024))} of memory are available on this host; "
            f"{size(MIN_MEMORY)} are needed"
        )
    stall = _number(proc / "pressure" / "memory", r"^full avg10=([\d.]+)")
    if stall is not None and stall > MAX_STALL:
        return f"this host stood still {stall:.0f} % of the last ten seconds for want of memory"
    return ""


def oom_kills(proc: Path = Path("/proc")) -> int:
    """Return how many processes the kernel has ended for want of memory since it booted."""
    return int(_number(proc / "vmstat", r"^oom_kill (\d+)") or 0)


def _number(path: Path, pattern: str) -> float | None:
    try:
        match = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return float(match[1]) if match else None
