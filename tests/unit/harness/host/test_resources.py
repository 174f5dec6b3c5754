"""A host that is short of disk space, inodes or memory, and one with an infrastructure problem."""

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


FOLDERS = ("RUNS_DIR", "LOCK_DIR", "ACTIVE_DIR", "SLOTS_DIR")


@pytest.mark.parametrize("name", [*FOLDERS, "docker", "tmp"])
def test_every_folder_that_a_run_writes_to_is_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may be on a file system of its own; the message names the full one."""
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
        preflight.check_resources(found)
    assert str(paths[name]) in preflight.host_problem(found)


def test_an_engine_that_does_not_answer_is_an_infrastructure_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What failed while Docker did not answer is not the recipe's fault."""

    def away() -> Any:
        raise InfraError("cannot talk to Docker")

    monkeypatch.setattr(swarm, "client", away)
    assert (
        preflight.host_problem(settings.load({})) == "Docker does not answer: cannot talk to Docker"
    )


def test_a_proxy_that_refuses_connections_is_an_infrastructure_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = SimpleNamespace(info=lambda: {"DockerRootDir": str(tmp_path)})
    monkeypatch.setattr(swarm, "client", lambda: engine)
    monkeypatch.setattr(preflight, "_shortage", lambda settings, folder: "")
    found = settings.load({"CCCI_PROXY": "127.0.0.1:1", "CCCI_SETTINGS": "/dev/null"})
    problem = preflight.host_problem(found)
    assert problem == "the proxy does not accept connections at 127.0.0.1:1: Connection refused"


def test_sizes_have_a_readable_unit() -> None:
    assert [resources.size(n) for n in (0, 5 * MIB, 3 * GIB)] == ["0.0 MiB", "5.0 MiB", "3.0 GiB"]
