"""When a stack has settled, and when there is no point in waiting longer: pure judgement of views.

Settled is more than N of N: the tasks must belong to the current spec, no update may be in flight,
and an update that was rolled back is a failure although the old task still answers. A crash loop is
told apart from a service that restarts while its peers start up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import RecipeFailure
from harness.swarm.engine import StackView, SwarmService, Task

IN_FLIGHT = frozenset({"updating", "rollback_started"})
MAX_EXITS_ALONE = (
    3  # tasks that ended while every other service was up: the service itself is at fault
)
MAX_EXITS_TOGETHER = 8  # tasks that ended while others were not up either


class RolledBack(RecipeFailure):
    """Swarm went back to the previous spec: the new one never ran."""


class CrashLoop(RecipeFailure):
    """A service ends again and again; `service` and `container` say where to look for its log."""

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


@dataclass
class History:
    """What has been seen so far of one wait: tasks that ended, and how many while the rest was up.

    Swarm keeps only five ended tasks a slot, so they are counted by id as they are seen.
    """

    ended: dict[str, set[str]] = field(default_factory=dict)
    ended_alone: dict[str, set[str]] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()

    def restarts(self) -> dict[str, int]:
        """Return how many tasks ended, by service."""
        return {name: len(ids) for name, ids in self.ended.items() if ids}


def task_ids(view: StackView) -> frozenset[str]:
    """Return the ids of all tasks, for a later wait to leave out of its counts."""
    return frozenset(task.id for service in view.services for task in service.tasks)


def settled(service: SwarmService) -> bool:
    """Say whether one service runs as its current spec wants it to."""
    if service.update in IN_FLIGHT:
        return False
    current = [task for task in service.tasks if task.current]
    if service.mode == "job" or (service.mode == "replicated" and _one_shot(service, current)):
        return sum(task.state == "complete" for task in current) >= service.replicas
    if service.mode == "global":
        return any(task.running for task in current)
    stopping = [t for t in service.tasks if not t.current and not t.ended and t.state != "pending"]
    return sum(task.running for task in current) == service.replicas and not stopping


def _one_shot(service: SwarmService, current: list[Task]) -> bool:
    """Say whether the service is meant to end: not restarted after a good end, and it ended well.

    What has a health check is meant to stay: Swarm ends an unhealthy task by its stop signal, and a
    program that obeys with status 0 has "completed" (measured with nginx).
    """
    ends = service.restart in ("none", "on-failure") and not service.has_health_check
    return ends and any(t.state == "complete" for t in current)


def describe(view: StackView) -> str:
    """Return the stack's state in one line: each service with its newest task's state."""
    return (
        ", ".join(f"{service.name}: {_state(service)}" for service in _sorted(view))
        or "nothing yet"
    )


def _sorted(view: StackView) -> list[SwarmService]:
    return sorted(view.services, key=lambda service: service.name)


def _state(service: SwarmService) -> str:
    if not service.tasks:
        return "no task yet" if service.replicas else "0 replicas"
    newest = next((t for t in service.tasks if t.current), service.tasks[0])
    parts = [newest.state + (f" ({newest.error})" if newest.error else "")]
    if service.update:
        parts.append(f"update {service.update}")
    return ", ".join(parts)


def look(view: StackView, history: History, *, wanted: int = 1) -> bool:
    """Note what ended, give up where waiting is pointless, and say whether all has settled.

    wanted: how many services the stack must have at least.

    Raises:
        RolledBack, CrashLoop: with the task's own error in the message.
        RecipeFailure: a task was rejected (bad image, mount or secret).
    """
    up = {service.name: settled(service) for service in view.services}
    for service in view.services:
        _refuse_rollback(service)
        _refuse_rejected(service, history)
        _refuse_given_up(service, history)
        _count(service, history, alone=all(ok for name, ok in up.items() if name != service.name))
        _refuse_loop(service, history, settled_now=up[service.name])
    return len(view.services) >= wanted and all(up.values())


def _refuse_rollback(service: SwarmService) -> None:
    if service.update.startswith("rollback") and service.update != "rollback_started":
        why = _last_error(service) or service.update_message
        raise RolledBack(
            f"the update of service '{service.name}' was rolled back ({service.update}): the new "
            f"version never ran{': ' + why if why else ''}"
        )


def _refuse_rejected(service: SwarmService, history: History) -> None:
    for task in service.tasks:
        if task.current and task.state == "rejected" and task.id not in history.ignore:
            raise RecipeFailure(f"service '{service.name}' was rejected by Swarm: {task.error}")


def _refuse_given_up(service: SwarmService, history: History) -> None:
    """Refuse a service whose tasks are over and that its restart policy leaves so.

    Swarm decides on a restart in the same step in which it stops wanting the old task, so a task that
    is over, unwanted and without a successor has none to come.
    """
    current = [t for t in service.tasks if t.current and t.id not in history.ignore]
    over = bool(current) and all(t.ended and t.desired == "shutdown" for t in current)
    well = all(t.state == "complete" for t in current)
    given_up = service.restart == "none" or service.attempts or (well and service.restart != "any")
    if not (over and given_up and service.replicas) or settled(service):
        return
    policy = f"its restart policy '{service.restart}' leaves it ended"
    if service.has_health_check and well:
        what = f"never got healthy: Swarm ended its task, and {policy}"
    else:
        what = f"has ended, and {policy}: {_last_error(service) or 'no error given'}"
    raise CrashLoop(f"service '{service.name}' {what}", service.name)


def _count(service: SwarmService, history: History, *, alone: bool) -> None:
    if service.mode == "job":
        return
    for task in service.tasks:
        good_end = task.state == "complete" and _one_shot(service, [task])
        if task.ended and task.current and not good_end and task.id not in history.ignore:
            seen = history.ended.setdefault(service.name, set())
            if task.id not in seen and alone:
                history.ended_alone.setdefault(service.name, set()).add(task.id)
            seen.add(task.id)


def _refuse_loop(service: SwarmService, history: History, *, settled_now: bool) -> None:
    ended = len(history.ended.get(service.name, ()))
    alone = len(history.ended_alone.get(service.name, ()))
    if settled_now or (alone < MAX_EXITS_ALONE and ended < MAX_EXITS_TOGETHER):
        return
    error = _last_error(service)
    what = "never got healthy" if "unhealthy" in error else "keeps ending (crash loop)"
    if service.has_health_check and not error:
        error = "it was told to end and did: its health check fails, or it ends by itself"
    raise CrashLoop(
        f"service '{service.name}' {what}: {ended} of its tasks ended while we waited; "
        f"the last one: {error or 'no error given'}",
        service.name,
    )


def _last_error(service: SwarmService) -> str:
    for task in service.tasks:
        if task.ended and task.error:
            return task.error
    return ""
