"""When a stack has settled, and when the wait stops early."""

import dataclasses
from typing import Any

import pytest

from harness.errors import RecipeFailure
from harness.swarm import converge
from harness.swarm.converge import History
from harness.swarm.engine import StackView, SwarmService, Task

RUNNING = Task("t1", "s1", "running", "running", "", "c1", current=True)
SERVICE = SwarmService("s1", "app", "img:1", "replicated", 1, "any", "", "", tasks=(RUNNING,))


def view(*services: SwarmService) -> StackView:
    """Return a stack of these services."""
    return StackView("stack", services)


def with_tasks(*tasks: Task, **changes: Any) -> SwarmService:
    """Return a service with these tasks and changes."""
    return dataclasses.replace(SERVICE, tasks=tasks, **changes)


def exited(number: int, error: str = "task: non-zero exit (3)", state: str = "failed") -> Task:
    """Return a task of the current spec that has exited."""
    return dataclasses.replace(
        RUNNING, id=f"e{number}", state=state, desired="shutdown", error=error, container=None
    )


def test_one_running_task_of_the_current_spec_is_settled() -> None:
    assert converge.look(view(SERVICE), History())


@pytest.mark.parametrize("state", ["updating", "rollback_started"])
def test_incident_r1_replicas_alone_are_not_convergence(state: str) -> None:
    """R1: during an update, N of N replicas may still be the old task."""
    assert not converge.look(view(dataclasses.replace(SERVICE, update=state)), History())


def test_incident_r2_a_paused_update_does_not_block() -> None:
    """R2: `paused` stays forever, even if everything works."""
    assert converge.look(view(dataclasses.replace(SERVICE, update="paused")), History())


@pytest.mark.parametrize("state", ["rollback_completed", "rollback_paused"])
def test_incident_r8_a_rollback_is_a_failure(state: str) -> None:
    """R8: after a rollback the old task answers, but the head never ran."""
    with pytest.raises(converge.RolledBack, match="rolled back"):
        converge.look(view(dataclasses.replace(SERVICE, update=state)), History())


def test_a_task_of_the_old_spec_does_not_count() -> None:
    old = dataclasses.replace(RUNNING, current=False)
    assert not converge.look(view(with_tasks(old)), History())


def test_an_old_task_that_is_still_stopping_is_waited_for() -> None:
    """It may still answer requests."""
    old = dataclasses.replace(RUNNING, id="t0", current=False, desired="shutdown")
    assert not converge.look(view(with_tasks(RUNNING, old)), History())


def test_a_task_that_is_being_stopped_does_not_count_as_running() -> None:
    """Its state is still running, its desired state is shutdown."""
    leaving = dataclasses.replace(RUNNING, desired="shutdown")
    assert not converge.look(view(with_tasks(leaving)), History())


def test_fewer_services_than_the_recipe_has_is_not_settled() -> None:
    """Swarm may not know the second service yet."""
    assert not converge.look(view(SERVICE), History(), wanted=2)


def test_a_service_without_replicas_is_settled_without_tasks() -> None:
    assert converge.look(view(with_tasks(replicas=0)), History())


def test_a_one_off_service_that_succeeded_is_settled() -> None:
    done = exited(1, "", "complete")
    assert converge.look(view(with_tasks(done, restart="none")), History())


def test_a_crash_loop_stops_the_wait_after_three_exits() -> None:
    """Three exits while everything else is up are the service's own fault."""
    history = History()
    with pytest.raises(converge.CrashLoop, match=r"crash loop.*non-zero exit \(3\)") as caught:
        for number in range(converge.MAX_EXITS_ALONE):
            converge.look(view(with_tasks(exited(number))), history)
    assert caught.value.service == "app"


def test_a_service_killed_as_unhealthy_never_got_healthy() -> None:
    history = History()
    with pytest.raises(converge.CrashLoop, match="never got healthy"):
        for number in range(converge.MAX_EXITS_ALONE):
            error = "task: non-zero exit (137): dockerexec: unhealthy container"
            converge.look(view(with_tasks(exited(number, error))), history)


@pytest.mark.parametrize(
    "changes",
    [
        {"restart": "none"},
        {"restart": "any", "attempts": 2},
        {"restart": "on-failure", "attempts": 2},
    ],
)
def test_a_service_that_swarm_does_not_restart_stops_the_wait(
    changes: dict[str, object],
) -> None:
    """A one-off service that failed, or one without restart attempts left, will never settle."""
    with pytest.raises(converge.CrashLoop, match=r"has exited, and its .* non-zero exit \(3\)"):
        converge.look(view(with_tasks(exited(1), **changes)), History())


@pytest.mark.parametrize("state", ["ready", "running"])
def test_a_service_that_swarm_restarts_is_waited_for(state: str) -> None:
    """The next task may still be waiting for its restart delay."""
    following = dataclasses.replace(RUNNING, id="t2", state="ready", desired=state)
    tasks = (following, exited(1))
    assert not converge.look(view(with_tasks(*tasks, restart="any", attempts=2)), History())


def test_incident_l10_a_restart_while_peers_start_is_no_crash_loop() -> None:
    """L10: a front end that exits because its database is not up yet gets more time."""
    history = History()
    db = dataclasses.replace(SERVICE, id="s2", name="db", tasks=())
    for number in range(converge.MAX_EXITS_TOGETHER - 1):
        assert not converge.look(view(with_tasks(exited(number)), db), history)
    assert history.restarts() == {"app": converge.MAX_EXITS_TOGETHER - 1}


def test_services_that_keep_exiting_together_stop_the_wait() -> None:
    history = History()
    db = dataclasses.replace(SERVICE, id="s2", name="db", tasks=())
    with pytest.raises(converge.CrashLoop):
        for number in range(converge.MAX_EXITS_TOGETHER):
            converge.look(view(with_tasks(exited(number)), db), history)


def test_a_service_that_recovered_is_settled() -> None:
    """Earlier exits do not fail a service that runs now."""
    history = History()
    for number in range(converge.MAX_EXITS_ALONE - 1):
        converge.look(view(with_tasks(exited(number))), history)
    tasks = (RUNNING, *(exited(n) for n in range(converge.MAX_EXITS_ALONE)))
    assert converge.look(view(with_tasks(*tasks)), history)


def test_tasks_of_an_earlier_deployment_are_ignored() -> None:
    tasks = tuple(exited(number) for number in range(5))
    history = History(ignore=converge.task_ids(view(with_tasks(*tasks))))
    assert not converge.look(view(with_tasks(*tasks)), history)
    assert history.restarts() == {}


def test_a_rejected_task_stops_the_wait() -> None:
    """Waiting does not fix a bad image, mount or secret."""
    with pytest.raises(RecipeFailure, match="No such image"):
        converge.look(view(with_tasks(exited(1, "No such image: x", "rejected"))), History())


def test_the_state_is_described_in_one_line() -> None:
    busy = dataclasses.replace(SERVICE, update="updating")
    assert converge.describe(view(busy)) == "app: running, update updating"
    assert converge.describe(view()) == "nothing yet"
    assert "non-zero exit (3)" in converge.describe(view(with_tasks(exited(1))))


def test_a_global_service_needs_one_running_task() -> None:
    """On a single node a global service has one task."""
    assert converge.look(view(with_tasks(RUNNING, mode="global")), History())
    assert not converge.look(view(with_tasks(exited(1), mode="global")), History())


def test_a_job_is_settled_when_it_completed() -> None:
    """A job's tasks are meant to exit."""
    assert converge.look(view(with_tasks(exited(1, "", "complete"), mode="job")), History())


def test_an_unhealthy_task_that_exits_with_zero_never_got_healthy() -> None:
    """nginx exits with 0 when Swarm stops it as unhealthy; that is not a one-off service."""
    over = with_tasks(exited(1, "", "complete"), restart="on-failure", has_health_check=True)
    with pytest.raises(converge.CrashLoop, match="never got healthy"):
        converge.look(view(over), History())


OLD = dataclasses.replace(RUNNING, id="t0", current=False)


@pytest.mark.parametrize(
    ("service", "settled"),
    [
        (with_tasks(RUNNING, dataclasses.replace(OLD, state="pending")), True),
        (with_tasks(RUNNING, dataclasses.replace(RUNNING, id="t2")), False),
        (with_tasks(exited(1, "", "complete"), mode="job", replicas=2), False),
        (with_tasks(OLD, mode="global"), False),
    ],
    ids=["an old task that never ran", "one too many", "half a job", "global, of the old spec"],
)
def test_settled_needs_exactly_the_wanted_tasks(service: SwarmService, settled: bool) -> None:
    """As many tasks of the current spec as are wanted, and no other task that answers."""
    assert converge.look(view(service), History()) is settled


def test_old_and_ignored_tasks_do_not_stop_the_wait() -> None:
    past = [
        dataclasses.replace(exited(n), current=False) for n in range(converge.MAX_EXITS_TOGETHER)
    ]
    rejected = dataclasses.replace(past[0], id="r", state="rejected")
    assert not converge.look(view(with_tasks(rejected, *past)), History())
    for last in (exited(1, state="rejected"), exited(1)):
        ignoring = History(ignore=frozenset({last.id}))
        assert not converge.look(view(with_tasks(last, restart="none")), ignoring)


def test_an_exited_task_that_swarm_still_wants_is_waited_for() -> None:
    """Swarm has not decided on a restart yet."""
    fresh = dataclasses.replace(exited(1), desired="running")
    assert not converge.look(view(with_tasks(fresh, restart="none")), History())


def test_intended_exits_are_not_restarts() -> None:
    """Those of a job, and of a one-off service that succeeded."""
    history = History()
    tasks = [exited(n) for n in range(converge.MAX_EXITS_TOGETHER)]
    assert not converge.look(view(with_tasks(*tasks, mode="job")), history)
    assert converge.look(view(with_tasks(exited(99, "", "complete"), restart="none")), history)
    assert history.restarts() == {}


def test_a_service_scaled_to_zero_is_waited_for() -> None:
    """Its exited task is not wanted, while one of the old spec is still stopping."""
    none = with_tasks(exited(1), OLD, replicas=0, restart="none")
    assert not converge.look(view(none), History())
