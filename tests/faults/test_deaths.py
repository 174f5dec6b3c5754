"""SIGKILL at every stage: of the harness, of the step's shell, of a child, of a worker. Nothing stays."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from harness import settings
from harness.host import orphans, wait
from harness.reporting import events
from harness.runs import registry
from harness.swarm import engine
from tests.faults.conftest import Start
from tests.faults.fault_env import CLEANUP_BOUND, STOPS, FaultEnv, HeldRun
from tests.faults.held_stages import check_report, held
from tests.support.figures import Part, Trial, trial

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
STAGES = [*STOPS, "teardown"]
PART = Part.KILLED


def cleared_by_itself(run: HeldRun, tried: Trial, verdict: str, stage: str) -> None:
    """Require that the run's own processes leave nothing, in time."""
    with tried.timed():
        run.gone()
    tried.none_lost(run.left())
    tried.in_time()
    check_report(run, verdict, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_of_a_killed_harness_nothing_stays(place: FaultEnv, start: Start, stage: str) -> None:
    """SIGKILL of the harness: the janitor ends what still works and removes everything at once."""
    with trial(PART, "SIGKILL of the harness, then the janitor", bound=CLEANUP_BOUND) as tried:
        with held(place, start, stage) as run:
            os.kill(run.harness(), signal.SIGKILL)
            run.process.wait()
        if STOPS.get(stage, ("",))[0] in ("abra", "git"):
            assert orphans.find(run.dir), "the child that was held should have outlived its run"
        with tried.timed():
            place.janitor()
        tried.none_lost(run.left())
        tried.in_time()
        check_report(run, "interrupted", stage)


@pytest.mark.parametrize("stage", STAGES)
def test_incident_c5_a_killed_step_clears_up_after_itself(
    place: FaultEnv, start: Start, stage: str
) -> None:
    """C5: Drone's cancel kills the step's shell alone; the harness notices and removes everything."""
    what = "SIGKILL of the step's shell, as Drone cancels and times out"
    with trial(PART, what, incidents=("C5",), bound=CLEANUP_BOUND) as tried:
        with held(place, start, stage, shell=True) as run:
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.wait()
            if stage != "teardown":
                cleared_by_itself(run, tried, "cancelled", stage)
        if stage == "teardown":
            cleared_by_itself(run, tried, "cancelled", stage)


@pytest.mark.parametrize("stage", [s for s, (program, *_) in STOPS.items() if program != "seed"])
def test_a_killed_child_is_our_own_trouble(place: FaultEnv, start: Start, stage: str) -> None:
    """SIGKILL of abra or git, as by the kernel when memory ends: no fault of the recipe, nothing stays."""
    with trial(PART, "SIGKILL of a child (abra, git)", bound=CLEANUP_BOUND) as tried:
        with held(place, start, stage) as run:
            os.kill(int((place.hold / "reached").read_text()), signal.SIGKILL)
            cleared_by_itself(run, tried, "infra", stage)
        assert run.process.wait() == 16


@pytest.mark.parametrize("stage", STAGES)
def test_of_a_killed_worker_nothing_stays(place: FaultEnv, start: Start, stage: str) -> None:
    """SIGKILL of an xdist worker: the session clears up at once, tries nothing again, and is not green."""
    with trial(PART, "SIGKILL of an xdist worker", bound=CLEANUP_BOUND) as tried:
        with held(place, start, stage, workers=True) as run:
            os.kill(run.worker(), signal.SIGKILL)
            if stage != "teardown":
                cleared_by_itself(run, tried, "interrupted", stage)
        if stage == "teardown":
            cleared_by_itself(run, tried, "interrupted", stage)
        assert run.process.wait() == 2, run.out
        assert not list(place.settings.runs_dir.glob(f"{run.id}.*")), "it was tried again"


def killed(kind: str, run: HeldRun) -> None:
    """End a run in one of the ways that it cannot clear up after."""
    victim: dict[str, Callable[[], int]] = {"harness": run.harness, "worker": run.worker}
    os.kill(victim[kind](), signal.SIGKILL)
    if kind == "worker":
        os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()


@pytest.mark.parametrize("kind", ["harness", "worker"])
def test_the_next_run_clears_up_and_is_green(place: FaultEnv, start: Start, kind: str) -> None:
    """What a dead run left is gone soon after the next one begins, which is not disturbed by it."""
    with trial(PART, f"SIGKILL of the {kind}, then the next run", bound=CLEANUP_BOUND) as tried:
        with held(place, start, "deploy", workers=kind == "worker") as run:
            killed(kind, run)
        after = start("--stages", "install")
        after.until((after.dir / "events.jsonl").exists, "its begin")
        after.until(lambda: phase_over(after, "queue"), "its turn")
        with tried.timed():
            after.until(lambda: not run.left(), "the dead run's end")
        assert after.end() == 0, after.out
        tried.none_lost([*run.left(), *after.left()])
        tried.in_time()
        check_report(run, "interrupted", "deploy")


def phase_over(run: HeldRun, name: str) -> bool:
    """Say whether a phase of a run is over."""
    found = events.read(run.dir / "events.jsonl").events
    return any(e.name == "phase" and e.text("phase") == name for e in found)


STUBBORN = "trap '' TERM"


@pytest.mark.parametrize("trap", ["", STUBBORN], ids=["obedient", "stubborn"])
def test_an_orphan_that_would_deploy_later_never_does(
    place: FaultEnv, start: Start, trap: str
) -> None:
    """A child that goes on after its run died is ended before its recipe's lock serves another run."""
    real = settings.load(os.environ).abra
    place.wrap("abra", real, trap=trap)
    try:
        with trial(
            PART, "an orphan that would deploy after its run's death", bound=CLEANUP_BOUND
        ) as tried:
            with held(place, start, "deploy") as run:
                orphan = int((place.hold / "reached").read_text())
                os.kill(run.harness(), signal.SIGKILL)
                run.process.wait()
            assert orphans.running(orphan) is not None
            after = start("--stages", "install")
            with tried.timed():
                after.until(lambda: orphans.running(orphan) is None, "the orphan's end")
            assert not phase_over(after, "fetch"), "the recipe was touched before the orphan's end"
            place.release()
            assert after.end() == 0, after.out
            tried.none_lost(run.left())
            tried.in_time()
    finally:
        place.wrap("abra", real)


def test_a_restore_that_outlives_its_run_is_ended_in_the_bot(place: FaultEnv, start: Start) -> None:
    """What abra began inside the backup bot's container bears the app's domain, and is ended as well."""
    with trial(
        PART, "a command left behind in the backup bot's container", bound=CLEANUP_BOUND
    ) as tried:
        with held(place, start, "deploy") as run:
            (entry,) = [e for e in registry.entries(place.settings) if e.run == run.id]
            pid = left_in_the_bot(entry.domain)
            os.kill(run.harness(), signal.SIGKILL)
            run.process.wait()
        with tried.timed():
            place.janitor()
        assert orphans.running(pid) is None
        tried.none_lost(run.left())
        tried.in_time()


def left_in_the_bot(domain: str) -> int:
    """Start a command in the backup bot's container as abra does; return its process on the host."""
    from harness.swarm import backup

    api = engine.client()
    made = api.exec_create(
        backup.bot_container(), ["sleep", "600"], environment={"SERVICE": domain}
    )
    api.exec_start(made["Id"], detach=True)
    pid: int = wait.until(
        lambda: wait.Look("", api.exec_inspect(made["Id"])["Pid"] or None), what="it", timeout=10
    )
    return pid


def test_a_run_id_that_comes_again_clears_what_its_first_left(
    place: FaultEnv, start: Start
) -> None:
    """A Drone that lost its database counts anew: the dead run of that number is cleared and kept apart."""
    with trial(PART, "a run id that comes again after a death", bound=CLEANUP_BOUND) as tried:
        with held(place, start, "deploy", DRONE_BUILD_NUMBER="7") as run:
            os.kill(run.harness(), signal.SIGKILL)
            run.process.wait()
        after = start("--stages", "install", DRONE_BUILD_NUMBER="7")
        with tried.timed():
            assert after.end() == 0, after.out
        tried.none_lost(after.left())
        old = place.settings.runs_dir / "7.1"
        assert '"verdict": "interrupted"' in (old / "report.json").read_text()


def test_a_run_id_that_is_alive_is_refused(place: FaultEnv, start: Start) -> None:
    """Two sessions of one number would write into one directory, so the second ends with a sentence."""
    with trial(PART, "a run id that a living run has") as tried:
        with held(place, start, "seed", DRONE_BUILD_NUMBER="8") as run:
            second = start("--stages", "install", DRONE_BUILD_NUMBER="8")
            assert second.end() == 16
            assert "run '8' is still running" in second.out
            place.go_on()
            place.release()
            assert run.end() == 0, run.out
        tried.none_lost(run.left())
