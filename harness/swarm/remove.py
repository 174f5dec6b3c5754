"""Remove everything that belongs to a stack, by force, until nothing is left.

Swarm dictates the order: services, then containers (stopping takes seconds, forced removal half a second),
then networks, volumes, secrets and configs. Swarm reports "removed" long before a name can be used
again, so we list everything again until nothing is found. Secrets made by abra have no label; they are
found by the prefix `<stack>_`, which no object of another stack has.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import APIError

from harness.errors import TimedOut
from harness.host import timestamps, wait
from harness.swarm.engine import NAMESPACE

TIMEOUT = 90.0  # seconds; some recipes have stop grace periods of minutes, but force skips them
POLL_INTERVAL = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Leftover:
    """An object that still exists: kind, name, and Docker's error when it was removed."""

    kind: str
    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    name: str
    remove: Callable[[str], Any]
    id: str


def _leave_to_swarm(task: str) -> None:
    """Do nothing: Swarm stops a task when its service is removed."""


def _named(stack: str, name: str) -> bool:
    return name.startswith(f"{stack}_")


def _find(api: Any, stack: str, *, secrets: bool = True) -> list[_Found]:
    """Return everything that exists of a stack, in the order of removal."""
    label = {"label": f"{NAMESPACE}={stack}"}
    found = [
        _Found("service", s["Spec"]["Name"], api.remove_service, s["ID"])
        for s in api.services(filters=label)
    ]
    force = functools.partial(api.remove_container, force=True, v=True)
    found += [
        _Found("container", c["Names"][0], force, c["Id"])
        for c in api.containers(all=True, filters=label)
    ]
    found += [
        _Found("network", n["Name"], api.remove_network, n["Id"])
        for n in api.networks(filters=label)
    ]
    found += [
        _Found("volume", v["Name"], api.remove_volume, v["Name"])
        for v in api.volumes()["Volumes"] or []
        if _named(stack, v["Name"]) or (v.get("Labels") or {}).get(NAMESPACE) == stack
    ]
    if secrets:
        found += [
            _Found("secret", s["Spec"]["Name"], api.remove_secret, s["ID"])
            for s in api.secrets()
            if _named(stack, s["Spec"]["Name"])
        ]
    found += [
        _Found("config", c["Spec"]["Name"], api.remove_config, c["ID"])
        for c in api.configs()
        if _named(stack, c["Spec"]["Name"])
    ]
    found += [
        _Found("task", t["ID"], _leave_to_swarm, t["ID"])
        for t in api.tasks(filters=label)
        if t["Status"]["State"]
        in ("new", "pending", "assigned", "preparing", "starting", "running")
    ]
    return found


def stacks(api: Any, parent: str) -> dict[str, float]:
    """Return the stacks of test apps that have any object, with the creation time of their newest object.

    A run that dies during its teardown may leave just a volume or a secret, without any service.

    Args:
        api: the engine.
        parent: the parent domain of all test apps.

    Returns:
        Creation time of the newest object by stack, in unix seconds; infinite if an object has none.
    """
    domain = re.escape(parent.replace(".", "_"))
    ours = re.compile(rf"(?P<stack>[0-9a-f]{{6}}-[a-z0-9_-]+?_{domain})(_.*)?")
    listed = [*api.services(), *api.networks(), *(api.volumes()["Volumes"] or [])]
    found: dict[str, float] = {}
    for item in (*listed, *api.secrets(), *api.configs()):
        body = item.get("Spec", item)
        match = ours.fullmatch((body.get("Labels") or {}).get(NAMESPACE) or body["Name"])
        if match:
            made = _made(item)
            found[match["stack"]] = max(found.get(match["stack"], made), made)
    return found


def _made(item: dict[str, Any]) -> float:
    try:
        return timestamps.unix(str(item.get("CreatedAt") or item.get("Created") or ""))
    except ValueError:
        return float("inf")


def leftovers(api: Any, stack: str) -> tuple[Leftover, ...]:
    """Return what exists of a stack, without removing it."""
    return tuple(Leftover(item.kind, item.name) for item in _find(api, stack))


def remove_stack(
    api: Any,
    stack: str,
    *,
    env_file: Path | None = None,
    keep_secrets: bool = False,
    timeout: float | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[Leftover, ...]:
    """Remove everything of a stack; return what could not be removed in time.

    Args:
        api: the engine.
        stack: name of the stack.
        env_file: the app's env file, deleted when all else is gone.
        keep_secrets: keep the secrets, for an app that is deployed again.
        timeout: seconds; 90 if None.
        progress: receives a line if something is left.
    """
    errors: dict[str, str] = {}

    def look() -> wait.Look[bool]:
        found = _find(api, stack, secrets=not keep_secrets)
        for item in found:
            try:
                item.remove(item.id)
            except APIError as error:
                if error.status_code != 404:
                    errors[item.name] = str(error.explanation)
        return wait.Look(_count(found), None if found else True)

    try:
        wait.until(
            look,
            what=f"'{stack}' to be gone",
            timeout=TIMEOUT if timeout is None else timeout,
            every=POLL_INTERVAL,
            progress=lambda line: None,
        )
    except TimedOut:
        left = _find(api, stack, secrets=not keep_secrets)
        progress(f"could not remove {_count(left)} of '{stack}'")
        return tuple(Leftover(i.kind, i.name, errors.get(i.name, "")) for i in left)
    if env_file is not None:
        env_file.unlink(missing_ok=True)
    return ()


def _count(found: list[_Found]) -> str:
    kinds = [item.kind for item in found]
    return ", ".join(f"{kinds.count(kind)} {kind}(s)" for kind in dict.fromkeys(kinds))
