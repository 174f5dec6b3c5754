"""Full, read-only and broken disks of the host are not the recipe's fault."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract import run_files
from harness.reporting import events
from harness.reporting.events import EventLog
from tests.faults.verdict import INFRA, check_not_the_recipes_fault, verdict_of
from tests.support.figures import Part, trial
from tests.support.tiny_recipe import TinyRecipe

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.HOST
INSTALL = ("--stages", "install")
UPGRADE = ("--stages", "install,functional,redeploy,upgrade")
EXT4_SHUTDOWN, NO_FLUSH = 0x8004587D, 2  # ioctl of Linux: from then on every access fails with EIO
SUITE = """
import os, pathlib
import pytest
from harness import App, check, seed

@seed
def break_the_disk(app: App) -> None:
    folder = pathlib.Path(os.environ["FOLDER"])
    if app.life == "fresh":
        {how}

@check
def it_answers(app: App) -> None:
    assert app.get("/").text == "fine"

@pytest.mark.functional
def test_something_is_written(app: App) -> None:
    assert os.system("echo x > $FOLDER/some-file") == 0
"""
FILL_DISK = """
        with (folder / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(65536)):
                    pass
            except OSError:
                pass
"""
USE_ALL_INODES = """
        (folder / "ballast").mkdir()
        try:
            for number in range(1_000_000):
                (folder / "ballast" / str(number)).touch()
        except OSError:
            pass
"""
BREAK_DISK = f"""
        import ctypes, fcntl
        fd = os.open(folder, os.O_RDONLY)
        fcntl.ioctl(fd, {EXT4_SHUTDOWN}, ctypes.c_uint32({NO_FLUSH}))
        os.close(fd)
"""


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """Mount a small file system for the length of a block."""
    folder.mkdir()
    subprocess.run(["mount", *options, str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def tmpfs(folder: Path, size: str, inodes: int = 0) -> Iterator[Path]:
    """Mount a small file system in memory."""
    limits = f"size={size}" + (f",nr_inodes={inodes}" if inodes else "")
    with mounted(folder, "-t", "tmpfs", "-o", limits, "tmpfs") as found:
        yield found


@contextmanager
def ext4(folder: Path) -> Iterator[Path]:
    """Mount a small ext4, kept in a file."""
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(160 * 1024**2)
    subprocess.run(["mkfs.ext4", "-q", "-N", "8000", str(image)], check=True)
    with mounted(folder, "-o", "loop", str(image)) as found:
        yield found


def write_suite(recipe: TinyRecipe, how: str) -> None:
    """Write a suite that breaks the disk in the middle of the fresh life, once its app is deployed."""
    recipe.write_suite(SUITE.format(how=how.strip()))


@pytest.mark.parametrize(
    ("what", "how", "inodes", "message"),
    [
        ("the runs' disk fills up during a run", FILL_DISK, 0, "MiB are free in"),
        (
            "the runs' disk runs out of inodes during a run",
            USE_ALL_INODES,
            4_000,
            "inodes are free in",
        ),
    ],
    ids=["disk-space", "inodes"],
)
def test_incident_j2_a_disk_that_fills_up_during_a_run_is_an_infrastructure_error(
    upgradable: TinyRecipe, tmp_path: Path, what: str, how: str, inodes: int, message: str
) -> None:
    """J2: the run is torn down, and the report names the disk."""
    write_suite(upgradable, how)
    with (
        tmpfs(tmp_path / "runs", "90m", inodes) as runs,
        trial(PART, what, incidents=("J2",)) as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "FOLDER": str(runs)}
        run = upgradable.run(*UPGRADE, env=env)
        result.seconds += [run.report.seconds]
        result.none_lost(upgradable.leftovers())
        assert verdict_of(run) == INFRA, run.out
        assert message in run.failure_text and f"'{runs}'" in run.failure_text
        (case,) = [c for c in run.report.cases if c.id.startswith("test_something_is_written")]
        assert case.fault == "infra" and "(test failed with: " in case.message
        assert json.loads((run.dir / "report.json").read_text())["verdict"] == "infra"
        check_not_the_recipes_fault(run)


def test_events_are_recorded_on_a_full_disk(tmp_path: Path) -> None:
    """Space for them was reserved before the disk was full."""
    with (
        tmpfs(tmp_path / "run", "4m") as folder,
        trial(PART, "1,000 events on a full disk", times=1000) as result,
    ):
        log = EventLog(folder / "events.jsonl")
        with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        assert os.statvfs(folder).f_bavail == 0
        for number in range(1000):
            log.write("note", text=str(number))
        found = {event.text("text") for event in events.read(folder / "events.jsonl").events}
        result.none_lost(sorted({str(number) for number in range(1000)} - found))
        assert log.write_error == ""
        log.close()


def test_a_disk_that_breaks_during_a_run_is_an_infrastructure_error(
    upgradable: TinyRecipe, tmp_path: Path
) -> None:
    """Every access fails with EIO; the whole report is in the build's log."""
    write_suite(upgradable, BREAK_DISK)
    with (
        ext4(tmp_path / "runs") as runs,
        trial(PART, "the runs' disk breaks during a run") as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs), "FOLDER": str(runs), "DRONE": "true"}
        with result.timed():
            run = upgradable.run(*UPGRADE, env=env)
        result.none_lost(upgradable.leftovers())
        assert run.exit_code == 16, run.out
        marked = [line for line in run.out.splitlines() if '"event": "run-report"' in line]
        printed = json.loads(marked[-1].removeprefix("::cc-ci:: "))
        assert (printed["verdict"], printed["commit_state"]) == ("infra", "error")
        assert "cannot record an event" in printed["reason"]


def test_the_next_run_writes_reports_that_are_missing(
    upgradable: TinyRecipe, tmp_path: Path
) -> None:
    """The events of a run with a full disk are complete, so its reports can be written later."""
    with (
        tmpfs(tmp_path / "runs", "90m") as runs,
        trial(PART, "reports written by the next run") as result,
    ):
        env = {**os.environ, "CCCI_RUNS_DIR": str(runs)}
        first = upgradable.run(*INSTALL, env=env)
        assert verdict_of(first) == (0, "passed")
        for name in run_files.REPORTS:
            (first.dir / name).unlink()
        first.dir.rename(runs / "earlier")
        second = upgradable.run(*INSTALL, env=env)
        assert verdict_of(second) == (0, "passed")
        assert "wrote the reports of run earlier" in second.out
        assert json.loads((runs / "earlier" / "report.json").read_text())["verdict"] == "passed"
        result.none_lost(upgradable.leftovers())


@pytest.mark.parametrize(
    "name", ["CCCI_RUNS_DIR", "CCCI_ACTIVE_DIR", "CCCI_SLOTS_DIR", "CCCI_LOCK_DIR"]
)
def test_a_read_only_folder_is_refused_before_deploying(
    upgradable: TinyRecipe, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "read-only"
    with (
        mounted(folder, "-t", "tmpfs", "-o", "ro", "tmpfs"),
        trial(PART, "a read-only folder") as result,
    ):
        with result.timed():
            run = upgradable.run(*INSTALL, env={**os.environ, name: str(folder)})
        assert run.exit_code == 16
        assert f"the file system of '{folder}' is mounted read-only" in run.out
        result.none_lost(upgradable.leftovers())


def test_a_full_registry_of_apps_is_an_infrastructure_error(
    upgradable: TinyRecipe, tmp_path: Path
) -> None:
    """The second life cannot be registered, so it is not deployed; the first one is removed."""
    write_suite(upgradable, FILL_DISK)
    with (
        tmpfs(tmp_path / "active", "2m") as active,
        trial(PART, "the registry's disk fills up") as result,
    ):
        env = {**os.environ, "CCCI_ACTIVE_DIR": str(active), "FOLDER": str(active)}
        run = upgradable.run(*UPGRADE, env=env)
        result.seconds += [run.report.seconds]
        result.none_lost(upgradable.leftovers())
        assert verdict_of(run) == INFRA, run.out
        assert f"'{active}" in run.failure_text
        check_not_the_recipes_fault(run)
