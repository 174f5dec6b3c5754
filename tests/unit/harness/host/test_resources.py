"""A host that is short of disk space, inodes or memory."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.host import resources
from harness.host.resources import GIB, MIB, Need

NEED = Need(Path("/data"), "Docker's data", 2 * GIB, 50_000)
PLENTY = {"bytes": 10 * GIB, "inodes": 1_000_000, "flag": 0, "files": 2_000_000}


def disk(**changes: int) -> Any:
    """Return a fake statvfs with these values."""
    found = {**PLENTY, **changes}
    seen = SimpleNamespace(
        f_bavail=found["bytes"] // 4096,
        f_frsize=4096,
        f_files=found["files"],
        f_favail=found["inodes"],
        f_flag=found["flag"],
    )
    return lambda folder: seen


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, ""),
        ({"bytes": GIB}, "only 1.0 GiB are free in '/data' (Docker's data); 2.0 GiB are needed"),
        ({"bytes": 0}, "only 0.0 MiB are free in '/data' (Docker's data); 2.0 GiB are needed"),
        ({"inodes": 49_999}, "only 49999 inodes are free in '/data' (Docker's data); 50000 are"),
        ({"inodes": 0, "files": 0}, ""),  # btrfs has no fixed number of inodes
        ({"flag": os.ST_RDONLY}, "the file system of '/data' (Docker's data) is mounted read-only"),
    ],
)
def test_incident_j2_bytes_and_inodes_are_checked(changes: dict[str, int], message: str) -> None:
    """J2: a disk had space but no inodes left; the message says which, where, and how much is needed."""
    found = resources.shortage(NEED, disk(**changes))
    assert found.startswith(message) and bool(found) == bool(message)


@pytest.mark.parametrize(
    ("available_kb", "full", "message"),
    [
        (8_000_000, "0.00", ""),
        (100_000, "0.00", "only 97.7 MiB of memory are available on this host; 256.0 MiB are"),
        (8_000_000, "61.20", "memory pressure: all tasks were stalled for 61 % of the last 10 s"),
        (None, None, ""),
    ],
)
def test_memory_shortage(
    tmp_path: Path, available_kb: int | None, full: str | None, message: str
) -> None:
    """Little available memory and memory pressure both count; an old kernel reports neither."""
    if available_kb is not None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {available_kb} kB\n")
        (tmp_path / "pressure").mkdir()
        some = f"some avg10={full} avg60=0.00 avg300=0.00 total=0\n"
        (tmp_path / "pressure" / "memory").write_text(some + some.replace("some", "full"))
    found = resources.memory_shortage(tmp_path)
    assert found.startswith(message) and bool(found) == bool(message)


def test_oom_kills_are_counted(tmp_path: Path) -> None:
    """From /proc/vmstat; 0 on a kernel that has no such counter."""
    assert resources.oom_kills(tmp_path) == 0
    (tmp_path / "vmstat").write_text("oom_kill_x 9\noom_kill 3\n")
    assert resources.oom_kills(tmp_path) == 3


def test_sizes_have_a_readable_unit() -> None:
    assert [resources.size(n) for n in (0, 5 * MIB, 3 * GIB)] == ["0.0 MiB", "5.0 MiB", "3.0 GiB"]
