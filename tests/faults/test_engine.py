"""Docker's engine dies or is restarted in the middle of a run, and machines come up again after a reboot."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host import wait
from harness.runs import registry
from harness.swarm import engine as swarm
from harness.swarm import remove
from sandbox.host import engine, services
from tests.faults.conftest import Start
from tests.faults.fault_env import CLEANUP_BOUND, FaultEnv, HeldRun
from tests.support.figures import Part, trial

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.REBOOT
ENGINE_BOUND = 120.0  # seconds from the engine's death to a run that has ended and left nothing
REBOOT = """
mount --bind "$1" /proc/sys/kernel/random/boot_id || exit 99
shift
exec "$@"
"""


@pytest.fixture
def dockerd() -> Iterator[int]:
    """The pid of the engine, if the bench started it itself; afterwards it runs again, with the bench."""
    pid = engine.OWN.pid()
    if pid is None:
        pytest.skip("this machine's Docker was not started by the bench, so it is not ours to kill")
    yield pid
    up_again()


def up_again() -> None:
    """Bring the engine and the bench's services back."""
    engine.engine()
    engine.swarm()
    services.proxy()
    services.backup_bot()


def end_engine(pid: int, sign: signal.Signals) -> None:
    """End the engine and wait for its death."""
    os.kill(pid, sign)
    gone = lambda: wait.Look("", None if engine.OWN.pid() == pid else True)  # noqa: E731
    wait.until(gone, what="the engine's death", timeout=60, every=0.05)


@pytest.mark.parametrize(
    ("sign", "stage"),
    [
        (signal.SIGTERM, "deploy"),
        (signal.SIGTERM, "backup"),
        (signal.SIGKILL, "deploy"),
        (signal.SIGKILL, "upgrade"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_restarted_engine_costs_the_run_and_nothing_else(
    place: FaultEnv, start: Start, dockerd: int, sign: signal.Signals, stage: str
) -> None:
    """The run waits for the engine to tear down; nobody is blamed, nothing stays, the next is green."""
    what = f"Docker's engine ended by {sign.name} in the middle of a run, and started again"
    with trial(PART, what, bound=ENGINE_BOUND) as tried:
        stages = place.stop_at(stage)
        run = start("--stages", stages)
        run.until_held()
        end_engine(dockerd, sign)
        with tried.timed():
            place.go_on()
            place.release()
            run.until_printed("Docker does not answer")
            up_again()
            status = run.end()
        assert status == 16, run.out
        assert run.checked_report().verdict.value == "infra"
        tried.none_lost(run.left())
        tried.in_time()
        after = start("--stages", "install")
        assert after.end() == 0, after.out


def test_an_engine_that_is_back_before_the_run_needs_it_costs_nothing(
    place: FaultEnv, start: Start, dockerd: int
) -> None:
    """What holds after a restart that nobody noticed is as good as ever."""
    what = "Docker's engine restarted while the run had no need of it"
    with trial(PART, what, bound=ENGINE_BOUND) as tried:
        run = start("--stages", place.stop_at("deploy"))
        run.until_held()
        with tried.timed():
            end_engine(dockerd, signal.SIGTERM)
            up_again()
            place.go_on()
            place.release()
            assert run.end() == 0, run.out
        tried.none_lost(run.left())
        tried.in_time()


def test_an_engine_that_stays_away_is_cleared_up_after_when_it_is_back(
    place: FaultEnv, start: Start, dockerd: int
) -> None:
    """The run ends by itself with a valid report; what it could not remove goes with the next sweep."""
    with trial(
        PART, "Docker's engine killed, away until after the run's end", bound=CLEANUP_BOUND
    ) as tried:
        run = start("--stages", place.stop_at("deploy"))
        run.until_held()
        end_engine(dockerd, signal.SIGKILL)
        place.go_on()
        place.release()
        assert run.end() == 16, run.out
        assert run.checked_report().verdict.value == "infra"
        up_again()
        assert run.left(), "the run could not have removed anything"
        with tried.timed():
            place.janitor()
        tried.none_lost(run.left())
        tried.in_time()


def test_what_is_kept_on_purpose_survives_the_engine(
    place: FaultEnv, start: Start, dockerd: int
) -> None:
    """A kept app is there again after the engine's restart, and the janitor leaves it alone."""
    with trial(PART, "a kept app, through a restart of Docker's engine") as tried:
        with kept(place, start) as run:
            end_engine(dockerd, signal.SIGTERM)
            up_again()
            place.janitor()
            assert services_of(place, run)
        tried.none_lost(run.left())


# %% Reboots


@pytest.fixture
def reboot(tmp_path: Path) -> list[str]:
    """Words before a command, which then sees another boot of the machine."""
    if shutil.which("unshare") is None:
        pytest.fail("unshare is missing; it is in Debian's util-linux")
    boot = tmp_path / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    return ["unshare", "--mount", "sh", "-c", REBOOT, "reboot", str(boot)]


def after_reboot(place: FaultEnv, reboot: list[str]) -> str:
    """Empty what stands for `/run`, then run the janitor as the first of another boot; return its words."""
    for folder in (place.settings.active_dir, place.settings.lock_dir):
        shutil.rmtree(folder)
        folder.mkdir()
    words = [*reboot, sys.executable, "-c", "from harness.cli import main; main()", "janitor"]
    done = subprocess.run(words, env=place.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("stage", ["deploy", "backup", "upgrade"])
def test_after_a_reboot_a_dead_run_is_reaped_at_once(
    place: FaultEnv, start: Start, reboot: list[str], stage: str
) -> None:
    """Another boot id, no registry, no locks: the run's own record says what was its, whatever the age."""
    with trial(PART, "a reboot in the middle of a run", bound=CLEANUP_BOUND) as tried:
        run = start("--stages", place.stop_at(stage))
        run.until_held()
        run.kill()
        with tried.timed():
            after_reboot(place, reboot)
        tried.none_lost(run.left())
        tried.in_time()
        assert run.checked_report().verdict.value == "interrupted"
        place.go_on()


def test_after_a_reboot_a_process_with_the_old_pid_is_nobody(
    place: FaultEnv, start: Start, reboot: list[str]
) -> None:
    """The run's process seems to live: its pid and start time are there, but it is another boot."""
    with trial(PART, "a reboot after which another program has the run's pid") as tried:
        run = start("--stages", place.stop_at("deploy"))
        run.until_held()
        run.kill()
        (entry,) = [e for e in registry.entries(place.settings) if e.run == run.id]
        for path in (*place.folder.rglob(entry.domain), *run.dir.glob("run.json")):
            text = path.read_text().replace(f'"pid": {entry.pid}', f'"pid": {os.getpid()}')
            path.write_text(text.replace(entry.started, registry.start_time(os.getpid())))
        assert "removed" in after_reboot(place, reboot)
        tried.none_lost(run.left())
        place.go_on()


def test_what_is_kept_on_purpose_survives_a_reboot(
    place: FaultEnv, start: Start, reboot: list[str]
) -> None:
    """`--keep` is a promise of two hours, not of one boot."""
    with trial(PART, "a kept app, through a reboot") as tried:
        with kept(place, start) as run:
            assert "kept" in after_reboot(place, reboot)
            assert services_of(place, run)
        tried.none_lost(run.left())


@contextlib.contextmanager
def kept(place: FaultEnv, start: Start) -> Iterator[HeldRun]:
    """Hand out a run that failed and kept its app; afterwards the app is cleared away."""
    place.go_on()
    suite = place.suites / "tiny" / "test_tiny.py"
    sound = suite.read_text()
    suite.write_text(sound.replace('== "by hand"', '== "by nobody"'))
    try:
        run = start("--stages", "install", "--keep")
        assert run.end() == 1, run.out
    finally:
        suite.write_text(sound)
    yield run
    for entry in registry.entries(place.settings):
        if entry.run == run.id:
            registry.keep(place.settings, entry.domain, until=0.0)
    place.janitor()


def services_of(place: FaultEnv, run: HeldRun) -> list[str]:
    """Return what still exists of a run's app as Docker sees it."""
    entries = [e for e in registry.entries(place.settings) if e.run == run.id]
    return [item.name for e in entries for item in remove.leftovers(swarm.client(), e.stack)]
