"""Stop an app without removing it: scale every service to zero tasks.

For the negative controls: a test that passes while the app is stopped proves nothing about the app.
Labels, secrets, volumes and routes stay, so that only the running app is missing.
"""

from __future__ import annotations

import contextlib
from typing import Any

from docker.errors import APIError

from harness.errors import InfraError
from harness.host import wait
from harness.swarm import engine

TIMEOUT = 30.0  # seconds; containers are killed, not stopped gracefully
POLL_INTERVAL = 0.05  # seconds
NO_NODE = "node.labels.cc-ci.stopped == true"  # no node has this label; for global services


def stop(stack: str, api: Any = None) -> None:
    """Scale every service of a stack to zero and kill its containers.

    Raises:
        InfraError: Swarm refused.
        TimedOut: something still runs.
    """
    api = api or engine.client()
    label = {"label": f"{engine.NAMESPACE}={stack}"}
    try:
        for service in api.services(filters=label):
            _scale_to_zero(api, service)
    except APIError as error:
        raise InfraError(f"stopping '{stack}' was refused: {error.explanation}") from error

    def look() -> wait.Look[bool]:
        running = api.containers(filters=label)
        for container in running:
            with contextlib.suppress(APIError):  # it has exited meanwhile
                api.kill(container["Id"])
        wanted = api.tasks(filters={**label, "desired-state": "running"})
        seen = f"{len(running)} container(s), {len(wanted)} task(s)"
        return wait.Look(seen, None if running or wanted else True)

    wait.until(look, what=f"'{stack}' to stop", timeout=TIMEOUT, every=POLL_INTERVAL)


def _scale_to_zero(api: Any, service: dict[str, Any]) -> None:
    change: dict[str, Any] = {}
    if "Replicated" in service["Spec"]["Mode"]:
        change["mode"] = {"Replicated": {"Replicas": 0}}
    elif "Global" in service["Spec"]["Mode"]:
        change["task_template"] = {"Placement": {"Constraints": [NO_NODE]}}
    if change:
        version = service["Version"]["Index"]
        api.update_service(service["ID"], version, fetch_current_spec=True, **change)
