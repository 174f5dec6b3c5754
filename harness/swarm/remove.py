"""Removal of everything that has one stack's name, by force, until nothing is left.

The order and the waits are Swarm's: services, then containers (a stop takes seconds, a forced removal
half of one), then networks, volumes, secrets and configs. Swarm says "removed" long before a name can
be used again, so each kind is looked for again. Secrets that abra makes carry no label; they are
found by the stack's name and an underscore, which no other stack of ours can start with.
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

TIMEOUT = 90.0  # seconds; grace periods of some recipes are a minute or two, but force skips them
POLL_INTERVAL = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that still exists: its kind, its name, and what Docker said when it was removed."""

    kind: str
    name: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    kind: str
    name: str
    remove: Callable[[str], Any]
    id: str


def _let_go(task: str) -> None:
    """Leave a task to Swarm, which ends it with its service."""


def _named(stack: str, name: str) -> bool:
    return name.startswith(f"{stack}_")


def _find(api: Any, stack: str, *, secrets: bool = True, volumes: bool = True) -> list[_Found]:
    """Return everything of a stack that exists now, in the order of removal."""
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
    if volumes:
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
        _Found("task", t["ID"], _let_go, t["ID"])
        for t in api.tasks(filters=label)
        if t["Status"]["State"]
        in ("new", "pending", "assigned", "preparing", "starting", "running")
    ]
    return found


def stacks(api: Any, parent: str) -> dict[str, float]:
    """Return the stacks with names of ours that anything is there of, and when the newest of it was made.

    A run that dies in its teardown may leave a volume or a secret alone, without any service. Times are
    unix seconds; what does not say when it was made is taken for new. parent: the domain of all apps.
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
    """Return what has the stack's name now, without touching it."""
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
    """Remove everything of a stack; return what would not go in time, and why.

    timeout: seconds, 90 unless told.
    keep_secrets: leave the secrets, for an app that is deployed again.
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
