"""When a stack counts as settled, and when waiting is given up."""

import dataclasses

import pytest

from harness.errors import RecipeFailure
from harness.swarm import converge
from harness.swarm.converge import History
from harness.swarm.engine import StackView, SwarmService, Task

RUNNING = Task("t1", "s1", "running", "running", "", None, "c1", "img:1", current=True)
SERVICE = SwarmService("s1", "app", "img:1", "replicated", 1, "any", "", "", tasks=(RUNNING,))


def view(*services: SwarmService) -> StackView:
    """Return a stack of these services."""
    return StackView("stack", services)


def with_tasks(*tasks: Task, **changes: object) -> SwarmService:
    """Return the service with these tasks and changes."""
    return dataclasses.replace(SERVICE, tasks=tasks, **changes)  # type: ignore[arg-type]


def ended(number: int, error: str = "task: non-zero exit (3)", state: str = "failed") -> Task:
    """Return a task of the current spec that ended."""
    return dataclasses.replace(
        RUNNING, id=f"e{number}", state=state, desired="shutdown", error=error, container=None
    )


def test_one_running_task_of_the_current_spec_is_settled() -> None:
    """A service at its replicas, with no update in flight, has settled."""
    assert converge.look(view(SERVICE), History())


@pytest.mark.parametrize("state", ["updating", "rollback_started"])
def test_incident_r1_replicas_alone_are_not_convergence(state: str) -> None:
    """R1: while an update is in flight, N of N may still be the old task."""
    assert not converge.look(view(dataclasses.replace(SERVICE, update=state)), History())


def test_incident_r2_a_paused_update_does_not_block() -> None:
    """R2: `paused` stays for ever, even when all is well; it must not hold the wait up."""
    assert converge.look(view(dataclasses.replace(SERVICE, update="paused")), History())


@pytest.mark.parametrize("state", ["rollback_completed", "rollback_paused"])
def test_incident_r8_a_rollback_is_a_failure(state: str) -> None:
    """R8: after a rollback the old task answers, but the head never ran."""
    with pytest.raises(converge.RolledBack, match="rolled back"):
        converge.look(view(dataclasses.replace(SERVICE, update=state)), History())


def test_a_task_of_the_old_spec_does_not_count() -> None:
    """A running task made from the previous spec is not the new version."""
    old = dataclasses.replace(RUNNING, current=False)
    assert not converge.look(view(with_tasks(old)), History())


def test_an_old_task_that_still_stops_keeps_the_wait() -> None:
    """Until the old task is gone it may still answer requests."""
    old = dataclasses.replace(RUNNING, id="t0", current=False, desired="shutdown")
    assert not converge.look(view(with_tasks(RUNNING, old)), History())


def test_a_task_meant_to_stop_does_not_count_as_running() -> None:
    """State running with desired state shutdown is a task on its way out."""
    leaving = dataclasses.replace(RUNNING, desired="shutdown")
    assert not converge.look(view(with_tasks(leaving)), History())


def test_fewer_services_than_the_recipe_has_is_not_settled() -> None:
    """A stack whose second service Swarm does not know yet has not settled."""
    assert not converge.look(view(SERVICE), History(), wanted=2)


def test_a_service_without_replicas_is_settled_without_tasks() -> None:
    """A service scaled to zero on purpose wants no task."""
    assert converge.look(view(with_tasks(replicas=0)), History())


def test_a_one_shot_service_that_ended_well_is_settled() -> None:
    """A service that is not restarted after a good end has done its work."""
    done = ended(1, "", "complete")
    assert converge.look(view(with_tasks(done, restart="none")), History())


def test_a_crash_loop_is_given_up_after_three_ends() -> None:
    """Three ends while everything else is up are the service's own fault; the error is quoted."""
    history = History()
    with pytest.raises(converge.CrashLoop, match=r"crash loop.*non-zero exit \(3\)") as caught:
        for number in range(converge.MAX_EXITS_ALONE):
            converge.look(view(with_tasks(ended(number))), history)
    assert caught.value.service == "app"


def test_an_unhealthy_service_is_called_that() -> None:
    """A service whose task Swarm kills for its health check never got healthy."""
    history = History()
    with pytest.raises(converge.CrashLoop, match="never got healthy"):
        for number in range(converge.MAX_EXITS_ALONE):
            error = "task: non-zero exit (137): dockerexec: unhealthy container"
            converge.look(view(with_tasks(ended(number, error))), history)


@pytest.mark.parametrize(
    "changes",
    [
        {"restart": "none"},
        {"restart": "any", "attempts": 2},
        {"restart": "on-failure", "attempts": 2},
    ],
)
def test_a_service_that_swarm_starts_no_more_is_given_up_at_once(
    changes: dict[str, object],
) -> None:
    """A one-shot service that failed, or one whose attempts are used up, will never settle."""
    with pytest.raises(converge.CrashLoop, match=r"has exited, and its .* non-zero exit \(3\)"):
        converge.look(view(with_tasks(ended(1), **changes)), History())


@pytest.mark.parametrize("state", ["ready", "running"])
def test_a_service_that_swarm_starts_again_is_not_given_up(state: str) -> None:
    """While a successor waits for its delay, there is hope."""
    following = dataclasses.replace(RUNNING, id="t2", state="ready", desired=state)
    tasks = (following, ended(1))
    assert not converge.look(view(with_tasks(*tasks, restart="any", attempts=2)), History())


def test_incident_l10_a_restart_while_peers_start_is_no_crash_loop() -> None:
    """L10: a front that ends because its database is not up yet gets its time."""
    history = History()
    db = dataclasses.replace(SERVICE, id="s2", name="db", tasks=())
    for number in range(converge.MAX_EXITS_TOGETHER - 1):
        assert not converge.look(view(with_tasks(ended(number)), db), history)
    assert history.restarts() == {"app": converge.MAX_EXITS_TOGETHER - 1}


def test_services_that_keep_ending_together_are_given_up_too() -> None:
    """When nothing is ever up, the wait still ends early."""
    history = History()
    db = dataclasses.replace(SERVICE, id="s2", name="db", tasks=())
    with pytest.raises(converge.CrashLoop):
        for number in range(converge.MAX_EXITS_TOGETHER):
            converge.look(view(with_tasks(ended(number)), db), history)


def test_a_service_that_recovered_is_not_given_up() -> None:
    """Ends of the past do not fail a service that runs now."""
    history = History()
    for number in range(converge.MAX_EXITS_ALONE - 1):
        converge.look(view(with_tasks(ended(number))), history)
    tasks = (RUNNING, *(ended(n) for n in range(converge.MAX_EXITS_ALONE)))
    assert converge.look(view(with_tasks(*tasks)), history)


def test_tasks_that_ended_before_the_wait_are_left_out() -> None:
    """What ended in an earlier deployment says nothing about this one."""
    tasks = tuple(ended(number) for number in range(5))
    history = History(ignore=converge.task_ids(view(with_tasks(*tasks))))
    assert not converge.look(view(with_tasks(*tasks)), history)
    assert history.restarts() == {}


def test_a_rejected_task_is_given_up_at_once() -> None:
    """A bad image, mount or secret does not get better by waiting."""
    with pytest.raises(RecipeFailure, match="No such image"):
        converge.look(view(with_tasks(ended(1, "No such image: x", "rejected"))), History())


def test_the_state_is_told_in_one_line() -> None:
    """What is waited for is told per service, with the task's error and the update's state."""
    busy = dataclasses.replace(SERVICE, update="updating")
    assert converge.describe(view(busy)) == "app: running, update updating"
    assert converge.describe(view()) == "nothing yet"
    assert "non-zero exit (3)" in converge.describe(view(with_tasks(ended(1))))


def test_a_global_service_needs_one_running_task() -> None:
    """On a single node a global service has one task."""
    assert converge.look(view(with_tasks(RUNNING, mode="global")), History())
    assert not converge.look(view(with_tasks(ended(1), mode="global")), History())


def test_a_job_is_settled_when_it_completed() -> None:
    """A job's tasks end on purpose."""
    assert converge.look(view(with_tasks(ended(1, "", "complete"), mode="job")), History())


def test_a_task_ended_as_unhealthy_with_status_zero_never_got_healthy() -> None:
    """nginx ends with status 0 when Swarm stops it as unhealthy; that is no one-shot service."""
    over = with_tasks(ended(1, "", "complete"), restart="on-failure", has_health_check=True)
    with pytest.raises(converge.CrashLoop, match="never got healthy"):
        converge.look(view(over), History())


OLD = dataclasses.replace(RUNNING, id="t0", current=False)


@pytest.mark.parametrize(
    ("service", "settled"),
    [
        (with_tasks(RUNNING, dataclasses.replace(OLD, state="pending")), True),
        (with_tasks(RUNNING, dataclasses.replace(RUNNING, id="t2")), False),
        (with_tasks(ended(1, "", "complete"), mode="job", replicas=2), False),
        (with_tasks(OLD, mode="global"), False),
    ],
    ids=["an old task that never ran", "one too many", "half a job", "global, of the old spec"],
)
def test_settled_is_neither_more_nor_less(service: SwarmService, settled: bool) -> None:
    """As many tasks of the current spec as are wanted, and no other that answers."""
    assert converge.look(view(service), History()) is settled


def test_what_was_before_is_not_held_against_a_service() -> None:
    """Tasks of the old spec, and those that a wait leaves out, are neither rejected, over nor looping."""
    past = [
        dataclasses.replace(ended(n), current=False) for n in range(converge.MAX_EXITS_TOGETHER)
    ]
    rejected = dataclasses.replace(past[0], id="r", state="rejected")
    assert not converge.look(view(with_tasks(rejected, *past)), History())
    for last in (ended(1, state="rejected"), ended(1)):
        left_out = History(ignore=frozenset({last.id}))
        assert not converge.look(view(with_tasks(last, restart="none")), left_out)


def test_a_task_that_is_still_wanted_is_not_over() -> None:
    """Swarm has not decided on a restart yet."""
    fresh = dataclasses.replace(ended(1), desired="running")
    assert not converge.look(view(with_tasks(fresh, restart="none")), History())


def test_ends_that_are_meant_are_no_restarts() -> None:
    """Neither a job's nor those of a service that is to end well."""
    history = History()
    tasks = [ended(n) for n in range(converge.MAX_EXITS_TOGETHER)]
    assert not converge.look(view(with_tasks(*tasks, mode="job")), history)
    assert converge.look(view(with_tasks(ended(99, "", "complete"), restart="none")), history)
    assert history.restarts() == {}


def test_a_service_scaled_to_nothing_is_not_given_up() -> None:
    """Its ended task was not to stay, while one of the old spec still goes."""
    none = with_tasks(ended(1), OLD, replicas=0, restart="none")
    assert not converge.look(view(none), History())
