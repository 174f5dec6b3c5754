"""Decide whether a stack has settled, or never will. Pure functions of Swarm views.

Settled means more than N of N replicas: the tasks must belong to the current spec, and no update may be in
progress. An update that was rolled back is a failure, although the old task still answers. A service in a
crash loop is distinguished from one that restarts while other services are starting.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.errors import RecipeFailure
from harness.swarm.engine import StackView, SwarmService, Task

IN_FLIGHT = frozenset({"updating", "rollback_started"})
MAX_EXITS_ALONE = 3  # tasks of one service, while all others are up: its own fault
MAX_EXITS_TOGETHER = 8  # tasks of one service, while others are not up either


class RolledBack(RecipeFailure):
    """Swarm rolled the service back to its previous spec; the new one never ran."""


class CrashLoop(RecipeFailure):
    """The tasks of `service` exit again and again, or have exited for good."""

    def __init__(self, message: str, service: str) -> None:
        super().__init__(message)
        self.service = service


@dataclass
class History:
    """The exited tasks that were seen during one wait.

    Swarm keeps only five exited tasks for each replica, so they are counted by id when they are seen.

    Attributes:
        exited: task ids by service.
        exited_alone: those of them that exited while all other services were up.
        ignore: ids of tasks that do not count, such as those of an earlier deployment.
    """

    exited: dict[str, set[str]] = field(default_factory=dict)
    exited_alone: dict[str, set[str]] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()

    def restarts(self) -> dict[str, int]:
        """Return how many tasks exited, by service."""
        return {name: len(ids) for name, ids in self.exited.items() if ids}


def task_ids(view: StackView) -> frozenset[str]:
    """Return the ids of all tasks, for a later wait to ignore."""
    return frozenset(task.id for service in view.services for task in service.tasks)


def settled(service: SwarmService) -> bool:
    """Return True if a service runs as its current spec asks for."""
    if service.update in IN_FLIGHT:
        return False
    current = [task for task in service.tasks if task.current]
    if service.mode == "job" or (service.mode == "replicated" and _one_shot(service, current)):
        return sum(task.state == "complete" for task in current) >= service.replicas
    if service.mode == "global":
        return any(task.running for task in current)
    stopping = [
        t for t in service.tasks if not t.current and not t.finished and t.state != "pending"
    ]
    return sum(task.running for task in current) == service.replicas and not stopping


def _one_shot(service: SwarmService, current: list[Task]) -> bool:
    """Return True if the service is a one-off job: not restarted after success, and it succeeded.

    A service with a health check is not: Swarm stops an unhealthy task by its stop signal, and a
    program that then exits with 0 has "completed" (measured with nginx).
    """
    ends = service.restart in ("none", "on-failure") and not service.has_health_check
    return ends and any(t.state == "complete" for t in current)


def describe(view: StackView) -> str:
    """Return the state of each service and its newest task in one line."""
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
    """Return True if all services have settled; raise if waiting longer is pointless.

    Args:
        view: the stack now.
        history: is updated with the tasks that have exited.
        wanted: how many services the stack must have at least.

    Raises:
        RolledBack: an update was rolled back.
        CrashLoop: the tasks of a service exit again and again, or are not restarted.
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
    """Refuse a service whose tasks have exited and are not restarted.

    Swarm decides on a restart in the same step in which it changes the desired state of the old task, so an
    exited task with desired state "shutdown" and without a successor will not get one.
    """
    current = [t for t in service.tasks if t.current and t.id not in history.ignore]
    exited = bool(current) and all(t.finished and t.desired == "shutdown" for t in current)
    succeeded = all(t.state == "complete" for t in current)
    given_up = (
        service.restart == "none" or service.attempts or (succeeded and service.restart != "any")
    )
    if not (exited and given_up and service.replicas) or settled(service):
        return
    policy = f"its restart policy '{service.restart}' does not restart it"
    if service.has_health_check and succeeded:
        what = f"never got healthy: Swarm stopped its task, and {policy}"
    else:
        what = f"has exited, and {policy}: {_last_error(service) or 'no error reported'}"
    raise CrashLoop(f"service '{service.name}' {what}", service.name)


def _count(service: SwarmService, history: History, *, alone: bool) -> None:
    if service.mode == "job":
        return
    for task in service.tasks:
        is_success = task.state == "complete" and _one_shot(service, [task])
        if task.finished and task.current and not is_success and task.id not in history.ignore:
            seen = history.exited.setdefault(service.name, set())
            if task.id not in seen and alone:
                history.exited_alone.setdefault(service.name, set()).add(task.id)
            seen.add(task.id)


def _refuse_loop(service: SwarmService, history: History, *, settled_now: bool) -> None:
    exited = len(history.exited.get(service.name, ()))
    alone = len(history.exited_alone.get(service.name, ()))
    if settled_now or (alone < MAX_EXITS_ALONE and exited < MAX_EXITS_TOGETHER):
        return
    error = _last_error(service)
    what = "never got healthy" if "unhealthy" in error else "is in a crash loop"
    if service.has_health_check and not error:
        error = "it exited without an error: its health check fails, or it stops by itself"
    raise CrashLoop(
        f"service '{service.name}' {what}: {exited} tasks exited while waiting; "
        f"last error: {error or 'no error reported'}",
        service.name,
    )


def _last_error(service: SwarmService) -> str:
    for task in service.tasks:
        if task.finished and task.error:
            return task.error
    return ""
