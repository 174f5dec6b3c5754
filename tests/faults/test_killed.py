"""SIGKILL of the harness, the step's shell, a child or a worker, at every stage: nothing is left."""

from __future__ import annotations

import os
import signal

import pytest

from harness import settings
from harness.host import orphans, wait
from harness.reporting import events
from harness.runs import registry
from harness.swarm import backup, engine
from tests.faults.conftest import Start
from tests.faults.fault_env import CLEANUP_BOUND, HOLD_POINTS, FaultEnv, HeldRun
from tests.faults.held_run import check_report, held_run
from tests.support.figures import Part, Trial, trial

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
STAGES = [*HOLD_POINTS, "teardown"]
PART = Part.KILLED


def check_own_cleanup(run: HeldRun, result: Trial, verdict: str, stage: str) -> None:
    """Require that the run's own processes remove everything, in time."""
    with result.timed():
        run.wait_until_gone()
    result.none_lost(run.leftovers())
    result.in_time()
    check_report(run, verdict, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_janitor_removes_everything_of_a_killed_harness(
    fault_env: FaultEnv, start: Start, stage: str
) -> None:
    with trial(PART, "SIGKILL of the harness, then the janitor", bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, stage) as run:
            os.kill(run.harness_pid(), signal.SIGKILL)
            run.process.wait()
        if stage in HOLD_POINTS and HOLD_POINTS[stage].program in ("abra", "git"):
            assert orphans.find(run.dir), "the held child should have outlived its run"
        with result.timed():
            fault_env.run_janitor()
        result.none_lost(run.leftovers())
        result.in_time()
        check_report(run, "interrupted", stage)


@pytest.mark.parametrize("stage", STAGES)
def test_incident_c5_a_killed_step_cleans_up_after_itself(
    fault_env: FaultEnv, start: Start, stage: str
) -> None:
    """C5: Drone's cancel kills only the step's shell; the harness notices and removes everything."""
    what = "SIGKILL of the step's shell, as Drone cancels and times out"
    with trial(PART, what, incidents=("C5",), bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, stage, shell=True) as run:
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.wait()
            if stage != "teardown":
                check_own_cleanup(run, result, "cancelled", stage)
        if stage == "teardown":
            check_own_cleanup(run, result, "cancelled", stage)


@pytest.mark.parametrize(
    "stage", [s for s, point in HOLD_POINTS.items() if point.program != "seed"]
)
def test_a_killed_child_is_an_infrastructure_error(
    fault_env: FaultEnv, start: Start, stage: str
) -> None:
    """As when the kernel kills abra or git because memory runs out."""
    with trial(PART, "SIGKILL of a child (abra, git)", bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, stage) as run:
            os.kill(fault_env.held_pid(), signal.SIGKILL)
            check_own_cleanup(run, result, "infra", stage)
        assert run.process.wait() == 16


@pytest.mark.parametrize("stage", STAGES)
def test_session_cleans_up_after_a_killed_worker(
    fault_env: FaultEnv, start: Start, stage: str
) -> None:
    """It does not retry, and it is not green."""
    with trial(PART, "SIGKILL of an xdist worker", bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, stage, workers=True) as run:
            os.kill(run.worker_pid(), signal.SIGKILL)
            if stage != "teardown":
                check_own_cleanup(run, result, "interrupted", stage)
        if stage == "teardown":
            check_own_cleanup(run, result, "interrupted", stage)
        assert run.process.wait() == 2, run.out
        assert not list(fault_env.settings.runs_dir.glob(f"{run.id}.*")), "it was retried"


def kill_run(process: str, run: HeldRun) -> None:
    """Kill the harness, or a worker and then its session, so that the run cannot clean up."""
    pid = run.harness_pid() if process == "harness" else run.worker_pid()
    os.kill(pid, signal.SIGKILL)
    if process == "worker":
        os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()


@pytest.mark.parametrize("process", ["harness", "worker"])
def test_the_next_run_cleans_up_and_is_green(
    fault_env: FaultEnv, start: Start, process: str
) -> None:
    with trial(PART, f"SIGKILL of the {process}, then the next run", bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, "deploy", workers=process == "worker") as run:
            kill_run(process, run)
        after = start("--stages", "install")
        after.until((after.dir / "events.jsonl").exists, "its start")
        after.until(lambda: phase_over(after, "queue"), "its slot and lock")
        with result.timed():
            after.until(lambda: not run.leftovers(), "the cleanup of the dead run")
        assert after.wait() == 0, after.out
        result.none_lost([*run.leftovers(), *after.leftovers()])
        result.in_time()
        check_report(run, "interrupted", "deploy")


def phase_over(run: HeldRun, name: str) -> bool:
    """Return True if a phase of a run is over."""
    found = events.read(run.dir / "events.jsonl").events
    return any(e.name == "phase" and e.text("phase") == name for e in found)


@pytest.mark.parametrize("trap", ["", "trap '' TERM"], ids=["obeys-term", "ignores-term"])
def test_an_orphan_is_killed_before_another_run_gets_the_recipes_lock(
    fault_env: FaultEnv, start: Start, trap: str
) -> None:
    """It would deploy later, while the other run is testing."""
    real = settings.load(os.environ).abra
    fault_env.wrap("abra", real, trap=trap)
    try:
        with trial(
            PART, "an orphan that would deploy after its run was killed", bound=CLEANUP_BOUND
        ) as result:
            with held_run(fault_env, start, "deploy") as run:
                orphan = fault_env.held_pid()
                os.kill(run.harness_pid(), signal.SIGKILL)
                run.process.wait()
            assert orphans.running(orphan) is not None
            after = start("--stages", "install")
            with result.timed():
                after.until(lambda: orphans.running(orphan) is None, "the orphan to be killed")
            assert not phase_over(after, "fetch"), (
                "the recipe was fetched before the orphan was killed"
            )
            fault_env.release()
            assert after.wait() == 0, after.out
            result.none_lost(run.leftovers())
            result.in_time()
    finally:
        fault_env.wrap("abra", real)


def test_a_command_in_the_backup_bot_is_killed_with_its_run(
    fault_env: FaultEnv, start: Start
) -> None:
    """A restore that abra started there has the app's domain in its environment, by which it is found."""
    with trial(
        PART, "a command left behind in the backup bot's container", bound=CLEANUP_BOUND
    ) as result:
        with held_run(fault_env, start, "deploy") as run:
            (entry,) = [e for e in registry.entries(fault_env.settings) if e.run == run.id]
            pid = start_in_the_bot(entry.domain)
            os.kill(run.harness_pid(), signal.SIGKILL)
            run.process.wait()
        with result.timed():
            fault_env.run_janitor()
        assert orphans.running(pid) is None
        result.none_lost(run.leftovers())
        result.in_time()


def start_in_the_bot(domain: str) -> int:
    """Start a command in the backup bot's container as abra does; return its pid on the host."""
    api = engine.client()
    command = api.exec_create(
        backup.bot_container(), ["sleep", "600"], environment={"SERVICE": domain}
    )
    api.exec_start(command["Id"], detach=True)
    pid: int = wait.until(
        lambda: wait.Look("", api.exec_inspect(command["Id"])["Pid"] or None),
        what="the command to start",
        timeout=10,
    )
    return pid


def test_a_repeated_run_id_cleans_up_its_dead_run(fault_env: FaultEnv, start: Start) -> None:
    """A Drone that lost its database starts counting again. The dead run's directory is moved aside."""
    with trial(PART, "the run id of a killed run, used again", bound=CLEANUP_BOUND) as result:
        with held_run(fault_env, start, "deploy", env={"DRONE_BUILD_NUMBER": "7"}) as run:
            os.kill(run.harness_pid(), signal.SIGKILL)
            run.process.wait()
        after = start("--stages", "install", env={"DRONE_BUILD_NUMBER": "7"})
        with result.timed():
            assert after.wait() == 0, after.out
        result.none_lost(after.leftovers())
        old = fault_env.settings.runs_dir / "7.1"
        assert '"verdict": "interrupted"' in (old / "report.json").read_text()


def test_the_run_id_of_a_live_run_is_refused(fault_env: FaultEnv, start: Start) -> None:
    """Two sessions with one number would write into one directory."""
    with trial(PART, "a run id that is in use") as result:
        with held_run(fault_env, start, "seed", env={"DRONE_BUILD_NUMBER": "8"}) as run:
            second = start("--stages", "install", env={"DRONE_BUILD_NUMBER": "8"})
            assert second.wait() == 16
            assert "run '8' is still running" in second.out
            fault_env.hold_nothing()
            fault_env.release()
            assert run.wait() == 0, run.out
        result.none_lost(run.leftovers())
