"""What a host is short of, and whose fault a failure is on a host in trouble."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import settings
from harness.errors import InfraError
from harness.host import resources
from harness.host.resources import GIB, MIB, Need
from harness.runs import preflight
from harness.swarm import engine as swarm

NEED = Need(Path("/data"), "Docker's data", 2 * GIB, 50_000)
PLENTY = {"bytes": 10 * GIB, "inodes": 1_000_000, "flag": 0, "files": 2_000_000}


def disk(**changes: int) -> Any:
    """Return a statvfs that finds these."""
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
    ("changes", "told"),
    [
        ({}, ""),
        ({"bytes": GIB}, "only 1.0 GiB are free in '/data' (Docker's data); 2.0 GiB are needed"),
        ({"bytes": 0}, "only 0.0 MiB are free in '/data' (Docker's data); 2.0 GiB are needed"),
        ({"inodes": 49_999}, "only 49999 inodes are free in '/data' (Docker's data); 50000 are"),
        ({"inodes": 0, "files": 0}, ""),  # btrfs has no fixed number of inodes
        ({"flag": os.ST_RDONLY}, "the file system of '/data' (Docker's data) is mounted read-only"),
    ],
)
def test_incident_j2_bytes_and_inodes_are_looked_at(changes: dict[str, int], told: str) -> None:
    """J2: the disk was full, and it was inodes; the sentence says which, where, and how much is needed."""
    found = resources.shortage(NEED, disk(**changes))
    assert found.startswith(told) and bool(found) == bool(told)


@pytest.mark.parametrize(
    ("available_kb", "full", "told"),
    [
        (8_000_000, "0.00", ""),
        (100_000, "0.00", "only 97.7 MiB of memory are available on this host; 256.0 MiB are"),
        (8_000_000, "61.20", "memory pressure: all tasks were stalled for 61 % of the last 10 s"),
        (None, None, ""),
    ],
)
def test_memory_is_looked_at(
    tmp_path: Path, available_kb: int | None, full: str | None, told: str
) -> None:
    """Little memory and standing still for want of it are both trouble; an old kernel tells neither."""
    if available_kb is not None:
        (tmp_path / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {available_kb} kB\n")
        (tmp_path / "pressure").mkdir()
        some = f"some avg10={full} avg60=0.00 avg300=0.00 total=0\n"
        (tmp_path / "pressure" / "memory").write_text(some + some.replace("some", "full"))
    found = resources.memory_shortage(tmp_path)
    assert found.startswith(told) and bool(found) == bool(told)


def test_programs_that_the_kernel_ended_are_counted(tmp_path: Path) -> None:
    """The counter of /proc/vmstat is read; a kernel without it counts none."""
    assert resources.oom_kills(tmp_path) == 0
    (tmp_path / "vmstat").write_text("oom_kill_x 9\noom_kill 3\n")
    assert resources.oom_kills(tmp_path) == 3


FOLDERS = ("RUNS_DIR", "LOCK_DIR", "ACTIVE_DIR", "SLOTS_DIR")


@pytest.mark.parametrize("name", [*FOLDERS, "docker", "tmp"])
def test_every_folder_that_a_run_writes_to_is_looked_at(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may be a file system of its own; the sentence says which is full."""
    paths = {key: tmp_path / key for key in (*FOLDERS, "docker", "tmp")}
    for path in paths.values():
        path.mkdir()
    found = settings.load(
        {f"CCCI_{key}": str(paths[key]) for key in FOLDERS} | {"CCCI_SETTINGS": "/dev/null"}
    )
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(paths["tmp"]))
    full, empty = disk(bytes=0)(""), disk()("")
    monkeypatch.setattr(os, "statvfs", lambda path: full if Path(path) == paths[name] else empty)
    engine = SimpleNamespace(info=lambda: {"DockerRootDir": str(paths["docker"])})
    monkeypatch.setattr(swarm, "client", lambda: engine)
    with pytest.raises(InfraError, match=f"only 0.0 MiB are free in '{paths[name]}'"):
        preflight.enough(found)
    assert str(paths[name]) in preflight.trouble(found)


def test_an_engine_that_does_not_answer_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed while Docker was away is not the recipe's fault."""

    def away() -> Any:
        raise InfraError("cannot talk to Docker")

    monkeypatch.setattr(swarm, "client", away)
    assert preflight.trouble(settings.load({})) == "Docker does not answer: cannot talk to Docker"


def test_a_proxy_that_takes_no_connection_is_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the proxy no app can answer."""
    engine = SimpleNamespace(info=lambda: {"DockerRootDir": str(tmp_path)})
    monkeypatch.setattr(swarm, "client", lambda: engine)
    monkeypatch.setattr(preflight, "_shortage", lambda settings, folder: "")
    found = settings.load({"CCCI_PROXY": "127.0.0.1:1", "CCCI_SETTINGS": "/dev/null"})
    said = preflight.trouble(found)
    assert said == "the proxy does not accept connections at 127.0.0.1:1: Connection refused"


def test_sizes_are_told_in_a_unit_that_people_read() -> None:
    """Neither bytes nor thousandths of a gibibyte."""
    assert [resources.size(n) for n in (0, 5 * MIB, 3 * GIB)] == ["0.0 MiB", "5.0 MiB", "3.0 GiB"]
