"""Read the Swarm through the Docker SDK; a stack becomes frozen values.

SDK: https://docker-py.readthedocs.io, API 1.41 and later. Swarm itself says whether a task belongs to the
current spec (the tasks filter `_up-to-date`), because replica counts alone still count the old task right
after an update.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import APIError, DockerException

from harness.errors import InfraError, TimedOut
from harness.host import wait

RESTART_TIMEOUT = 60.0  # seconds; a restarted engine with a swarm needs 5 to 15 (measured)
NAMESPACE = "com.docker.stack.namespace"
TERMINAL_STATES = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a service.

    Attributes:
        state: the state that it is in.
        desired: the state that Swarm wants it to be in.
        error: Swarm's or the container's error, or "".
        container: id of its container, if there is one.
        current: True if it was made from the service's current spec.
    """

    id: str
    service_id: str
    state: str
    desired: str
    error: str
    container: str | None
    current: bool

    @property
    def running(self) -> bool:
        """True if the task runs and Swarm wants it to."""
        return self.state == "running" and self.desired == "running"

    @property
    def finished(self) -> bool:
        """True if the task has reached a state that it will not leave."""
        return self.state in TERMINAL_STATES


@dataclass(frozen=True, slots=True)
class SwarmService:
    """One service of a stack.

    Attributes:
        name: short name, without the stack's.
        mode: "replicated", "global" or "job".
        replicas: how many tasks it wants.
        restart: condition of its restart policy.
        attempts: restarts until Swarm gives up, 0 for no limit.
        update: state of its last update, or "".
        tasks: newest first.
    """

    id: str
    name: str
    image: str
    mode: str
    replicas: int
    restart: str
    update: str
    update_message: str
    labels: Mapping[str, str] = field(default_factory=dict)
    has_health_check: bool = False
    attempts: int = 0
    tasks: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True)
class StackView:
    """A snapshot of all services of the stack `name`."""

    name: str
    services: tuple[SwarmService, ...]

    def service(self, short: str) -> SwarmService:
        """Return the service with this short name ("app").

        Raises:
            InfraError: the stack has no such service.
        """
        for service in self.services:
            if service.name == short:
                return service
        names = ", ".join(s.name for s in self.services) or "none"
        raise InfraError(f"stack '{self.name}' has no service '{short}'; it has: {names}")


@functools.cache
def client() -> Any:
    """Return the only connection to the engine (the SDK's low-level client).

    Raises:
        InfraError: no engine answers, or this user may not use it.
    """
    try:
        api = docker.from_env(timeout=60).api
        api.ping()
    except (DockerException, OSError) as error:
        raise InfraError(
            f"cannot talk to Docker: {error}; is the engine running, and may this user use it? "
            "run `cc-ci doctor` to check"
        ) from error
    return api


def await_engine(progress: wait.ProgressLog, *, timeout: float = RESTART_TIMEOUT) -> None:
    """Wait until the engine answers as a Swarm manager.

    Args:
        progress: receives a line while it does not answer.
        timeout: seconds to wait.

    Raises:
        InfraError: it did not answer in time.
    """

    def look() -> wait.Look[bool]:
        try:
            client().services(filters={"name": "none"})
        except (InfraError, DockerException, OSError) as error:
            return wait.Look(f"Docker does not answer: {' '.join(str(error).split())[:120]}")
        return wait.Look("", True)

    try:
        wait.until(
            look, what="Docker to answer again", timeout=timeout, every=0.5, progress=progress
        )
    except TimedOut as error:
        raise InfraError(str(error)) from None


def view(stack: str, api: Any = None) -> StackView:
    """Read the services and tasks of one stack.

    Args:
        stack: name of the stack.
        api: the engine; the real one if None.

    Raises:
        InfraError: Docker did not answer.
    """
    api = api or client()
    label = f"{NAMESPACE}={stack}"
    try:
        raw_services = api.services(filters={"label": label})
        raw_tasks = api.tasks(filters={"label": label})
        fresh = {t["ID"] for t in api.tasks(filters={"label": label, "_up-to-date": True})}
    except (APIError, DockerException, OSError) as error:
        raise InfraError(f"reading stack '{stack}' from Docker failed: {error}") from error
    raw_tasks.sort(key=lambda task: str(task.get("CreatedAt", "")), reverse=True)
    tasks = [_task(raw, raw["ID"] in fresh) for raw in raw_tasks]
    return StackView(stack, tuple(_service(stack, raw, tasks) for raw in raw_services))


def nodes(api: Any = None) -> list[dict[str, str]]:
    """Return the properties of each node, by the keys that placement constraints use.

    Raises:
        InfraError: Docker did not answer.
    """
    try:
        return [_node(raw) for raw in (api or client()).nodes()]
    except (APIError, DockerException, OSError) as error:
        raise InfraError(f"reading the Swarm's nodes failed: {error}") from error


def _node(raw: Mapping[str, Any]) -> dict[str, str]:
    spec, seen = raw["Spec"], raw.get("Description", {})
    engine = seen.get("Engine", {}).get("Labels") or {}
    return {
        "node.id": raw["ID"],
        "node.hostname": seen.get("Hostname", ""),
        "node.role": spec.get("Role", ""),
        **{f"node.labels.{key}": value for key, value in (spec.get("Labels") or {}).items()},
        **{f"engine.labels.{key}": value for key, value in engine.items()},
    }


def _task(raw: Mapping[str, Any], current: bool) -> Task:
    status = raw.get("Status", {})
    container = status.get("ContainerStatus", {})
    return Task(
        id=raw["ID"],
        service_id=raw.get("ServiceID", ""),
        state=status.get("State", ""),
        desired=raw.get("DesiredState", ""),
        error=status.get("Err", ""),
        container=container.get("ContainerID") or None,
        current=current,
    )


def _service(stack: str, raw: Mapping[str, Any], tasks: list[Task]) -> SwarmService:
    spec = raw["Spec"]
    template = spec.get("TaskTemplate", {})
    container = template.get("ContainerSpec", {})
    mode, replicas = _mode(spec.get("Mode", {}))
    update = raw.get("UpdateStatus") or {}
    return SwarmService(
        id=raw["ID"],
        name=spec["Name"].removeprefix(f"{stack}_"),
        image=container.get("Image", "").partition("@")[0],
        mode=mode,
        replicas=replicas,
        restart=template.get("RestartPolicy", {}).get("Condition", "any"),
        update=update.get("State", ""),
        update_message=update.get("Message", ""),
        labels=dict(spec.get("Labels") or {}),
        has_health_check=bool(container.get("Healthcheck")),
        attempts=int(template.get("RestartPolicy", {}).get("MaxAttempts") or 0),
        tasks=tuple(task for task in tasks if task.service_id == raw["ID"]),
    )


def _mode(mode: Mapping[str, Any]) -> tuple[str, int]:
    """Return a service's mode and how many tasks it wants on a single node."""
    if "Replicated" in mode:
        return "replicated", int(mode["Replicated"].get("Replicas", 1))
    if "ReplicatedJob" in mode:
        return "job", int(mode["ReplicatedJob"].get("TotalCompletions", 1))
    return ("job", 1) if "GlobalJob" in mode else ("global", 1)
