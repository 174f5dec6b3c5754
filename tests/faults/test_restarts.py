"""Docker is killed or restarted during a run; the machine reboots."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
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
ENGINE_BOUND = 120.0  # seconds from the engine's exit until nothing of the run exists
REBOOT = """
mount --bind "$1" /proc/sys/kernel/random/boot_id || exit 99
shift
exec "$@"
"""


@pytest.fixture
def dockerd() -> Iterator[int]:
    """The pid of the engine, if the test bed started it; after the test it runs again."""
    pid = engine.OWN.pid()
    if pid is None:
        pytest.skip(
            "this machine's Docker was not started by the test bed, so it may not be killed"
        )
    yield pid
    restart()


def restart() -> None:
    """Start the engine again, with the test bed's services."""
    engine.ensure_engine()
    engine.ensure_swarm()
    services.ensure_proxy()
    services.ensure_backup_bot()


def stop_engine(pid: int, sign: signal.Signals) -> None:
    """Send a signal to the engine and wait until it has exited."""
    os.kill(pid, sign)
    wait.until(
        lambda: wait.Look("", None if engine.OWN.pid() == pid else True),
        what="the engine to exit",
        timeout=60,
        every=0.05,
    )


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
def test_an_engine_restarted_during_a_run_is_an_infrastructure_error(
    fault_env: FaultEnv, start: Start, dockerd: int, sign: signal.Signals, stage: str
) -> None:
    """The run waits for the engine before it tears down; the next run is green."""
    what = f"Docker's engine stopped by {sign.name} during a run, and started again"
    with trial(PART, what, bound=ENGINE_BOUND) as result:
        stages = fault_env.hold_at(stage)
        run = start("--stages", stages)
        run.until_held()
        stop_engine(dockerd, sign)
        with result.timed():
            fault_env.hold_nothing()
            fault_env.release()
            run.until_printed("Docker does not answer")
            restart()
            exit_code = run.wait()
        assert exit_code == 16, run.out
        assert run.checked_report().verdict.value == "infra"
        result.none_lost(run.leftovers())
        result.in_time()
        after = start("--stages", "install")
        assert after.wait() == 0, after.out


def test_an_engine_restarted_between_two_calls_does_not_matter(
    fault_env: FaultEnv, start: Start, dockerd: int
) -> None:
    what = "Docker's engine restarted while the run did not use it"
    with trial(PART, what, bound=ENGINE_BOUND) as result:
        run = start("--stages", fault_env.hold_at("deploy"))
        run.until_held()
        with result.timed():
            stop_engine(dockerd, signal.SIGTERM)
            restart()
            fault_env.hold_nothing()
            fault_env.release()
            assert run.wait() == 0, run.out
        result.none_lost(run.leftovers())
        result.in_time()


def test_janitor_cleans_up_when_the_engine_is_back_after_the_run(
    fault_env: FaultEnv, start: Start, dockerd: int
) -> None:
    """The run exits by itself with a valid report."""
    with trial(
        PART, "Docker's engine killed, and started again after the run", bound=CLEANUP_BOUND
    ) as result:
        run = start("--stages", fault_env.hold_at("deploy"))
        run.until_held()
        stop_engine(dockerd, signal.SIGKILL)
        fault_env.hold_nothing()
        fault_env.release()
        assert run.wait() == 16, run.out
        assert run.checked_report().verdict.value == "infra"
        restart()
        assert run.leftovers(), "the run could not have removed anything"
        with result.timed():
            fault_env.run_janitor()
        result.none_lost(run.leftovers())
        result.in_time()


def test_a_kept_app_survives_a_restart_of_the_engine(
    fault_env: FaultEnv, start: Start, dockerd: int
) -> None:
    with trial(PART, "a kept app, during a restart of Docker's engine") as result:
        with kept_run(fault_env, start) as run:
            stop_engine(dockerd, signal.SIGTERM)
            restart()
            fault_env.run_janitor()
            assert leftovers_in_docker(fault_env, run)
        result.none_lost(run.leftovers())


# %% Reboots


@pytest.fixture
def reboot(tmp_path: Path) -> list[str]:
    """A prefix for a command that then sees another boot id."""
    if shutil.which("unshare") is None:
        pytest.fail("unshare is missing; it is in Debian's util-linux")
    boot = tmp_path / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    return ["unshare", "--mount", "sh", "-c", REBOOT, "reboot", str(boot)]


def janitor_after_reboot(fault_env: FaultEnv, reboot: list[str]) -> str:
    """Empty the folders that replace `/run`, then run the janitor with another boot id; return its output."""
    for folder in (fault_env.settings.active_dir, fault_env.settings.lock_dir):
        shutil.rmtree(folder)
        folder.mkdir()
    return fault_env.run_janitor(*reboot)


@pytest.mark.parametrize("stage", ["deploy", "backup", "upgrade"])
def test_after_a_reboot_a_dead_run_is_reaped_immediately(
    fault_env: FaultEnv, start: Start, reboot: list[str], stage: str
) -> None:
    """Registry and locks are gone; the run's record says what belonged to it."""
    with trial(PART, "a reboot during a run", bound=CLEANUP_BOUND) as result:
        run = start("--stages", fault_env.hold_at(stage))
        run.until_held()
        run.kill()
        with result.timed():
            janitor_after_reboot(fault_env, reboot)
        result.none_lost(run.leftovers())
        result.in_time()
        assert run.checked_report().verdict.value == "interrupted"
        fault_env.hold_nothing()


def test_after_a_reboot_another_process_with_the_old_pid_does_not_count(
    fault_env: FaultEnv, start: Start, reboot: list[str]
) -> None:
    """Pid and start time match, but the boot id does not."""
    with trial(PART, "a reboot after which another program has the run's pid") as result:
        run = start("--stages", fault_env.hold_at("deploy"))
        run.until_held()
        run.kill()
        (entry,) = [e for e in registry.entries(fault_env.settings) if e.run == run.id]
        for path in (*fault_env.folder.rglob(entry.domain), *run.dir.glob("run.json")):
            text = path.read_text().replace(f'"pid": {entry.pid}', f'"pid": {os.getpid()}')
            path.write_text(text.replace(entry.started, registry.start_time(os.getpid())))
        assert "removed" in janitor_after_reboot(fault_env, reboot)
        result.none_lost(run.leftovers())
        fault_env.hold_nothing()


def test_a_kept_app_survives_a_reboot(fault_env: FaultEnv, start: Start, reboot: list[str]) -> None:
    """`--keep` promises two hours, whatever happens to the machine."""
    with trial(PART, "a kept app, during a reboot") as result:
        with kept_run(fault_env, start) as run:
            assert "kept" in janitor_after_reboot(fault_env, reboot)
            assert leftovers_in_docker(fault_env, run)
        result.none_lost(run.leftovers())


@contextlib.contextmanager
def kept_run(fault_env: FaultEnv, start: Start) -> Iterator[HeldRun]:
    """Yield a failed run that kept its app; remove the app afterwards."""
    fault_env.hold_nothing()
    suite = fault_env.suites / "tiny" / "test_tiny.py"
    original = suite.read_text()
    suite.write_text(original.replace('== "by hand"', '== "by nobody"'))
    try:
        run = start("--stages", "install", "--keep")
        assert run.wait() == 1, run.out
    finally:
        suite.write_text(original)
    yield run
    for entry in registry.entries(fault_env.settings):
        if entry.run == run.id:
            registry.keep(fault_env.settings, entry.domain, until=0.0)
    fault_env.run_janitor()


def leftovers_in_docker(fault_env: FaultEnv, run: HeldRun) -> list[str]:
    """Return the names of the objects of a run's app that exist in Docker."""
    entries = [e for e in registry.entries(fault_env.settings) if e.run == run.id]
    return [item.name for e in entries for item in remove.leftovers(swarm.client(), e.stack)]
