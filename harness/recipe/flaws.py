"""Mistakes in a recipe's compose files: what cannot work, and what is likely to break later.

Each is one sentence; the caller decides which of them stop a deployment. Limits of names are
swarmkit's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.naming import MAX_OBJECT_NAME, MAX_SERVICE_NAME, PROXY_NETWORK
from harness.recipe.compose import Compose, ComposeObject, ComposeService
from harness.recipe.interpolation import interpolated

DURATIONS = (
    ("stop_grace_period",),
    *(("healthcheck", key) for key in ("interval", "timeout", "start_period", "start_interval")),
    *(("deploy", part, key) for part in ("update_config", "rollback_config", "restart_policy")
      for key in ("delay", "monitor", "window")),
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
HOST_KEY = re.compile(r"host|server|addr|upstream|backend", re.IGNORECASE)
WELL_KNOWN = frozenset({"node.id", "node.hostname", "node.role"})
CONSTRAINT = re.compile(r"\s*(?P<key>[\w.-]+)\s*(?P<how>==|!=)\s*(?P<value>.*?)\s*")


def durations(compose: Compose) -> list[str]:
    """Return a sentence for each duration that contains a variable (incident R5)."""
    return [
        f"'{name}': {'.'.join(path)} of service '{service}' is '{value}', but abra checks "
        "durations before it replaces variables; write the value itself"
        for name, tree in compose.files.items()
        for service, body in (tree.get("services") or {}).items()
        for path in DURATIONS
        if isinstance(value := _at(body, path), str) and "$" in value.replace("$$", "")
    ]


def _at(body: Any, path: Sequence[str]) -> Any:
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def missing_binds(compose: Compose, exists: Callable[[str], bool] = os.path.exists) -> list[str]:
    """Return a sentence for each host path that a service mounts but that does not exist (S5)."""
    return [
        f"service '{service.name}' mounts the host path '{mount.source}', which does not exist on "
        "this host, so Swarm would reject its tasks"
        for service in compose.services
        for mount in service.mounts
        if mount.source.startswith("/") and not exists(mount.source)
    ]


def names(compose: Compose, stack: str) -> list[str]:
    """Return a sentence for each name of a service or object that Docker would refuse."""
    full = [("service", f"{stack}_{service.name}") for service in compose.services]
    values = {**compose.env, **compose.exported, "STACK_NAME": stack}
    full += [(o.kind, _full(o, stack, values)) for o in compose.objects if o.kind != "volume"]
    return [problem for kind, name in full for problem in _name(kind, name)]


def _full(named: ComposeObject, stack: str, values: Mapping[str, str]) -> str:
    if named.template:
        return str(interpolated(named.template, values))
    return named.key if named.external else f"{stack}_{named.key}"


def _name(kind: str, name: str) -> Iterator[str]:
    longest = MAX_OBJECT_NAME if kind in ("secret", "config") else MAX_SERVICE_NAME
    if len(name) > longest:
        yield (
            f"{kind} '{name}' is {len(name) - longest} characters too long: it has {len(name)}, "
            f"Docker allows {longest}"
        )
    if not NAME.fullmatch(name):
        yield (
            f"Docker does not accept '{name}' as the name of a {kind}: use letters, digits, '-', '_' "
            "and '.', with a letter or digit first and last; is its version set in .env.sample or "
            "abra.sh?"
        )


def placements(compose: Compose, nodes: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a sentence for each service that no node may run: Swarm would wait forever.

    Args:
        compose: the compose files.
        nodes: the properties of each node, by the keys of constraints (`node.role`, …).
    """
    return [
        f"no node of this Swarm meets the placement constraints of service '{service.name}' "
        f"({', '.join(map(repr, wanted))}), so its tasks would wait forever"
        for service in compose.services
        if (wanted := _constraints(service))
        and not any(all(_holds(text, node) for text in wanted) for node in nodes)
    ]


def _constraints(service: ComposeService) -> list[str]:
    listed = _at(service.raw, ("deploy", "placement", "constraints"))
    return [str(text) for text in listed] if isinstance(listed, list) else []


def _holds(text: str, node: Mapping[str, str]) -> bool:
    """Return True if a node meets a constraint, or if only Swarm can tell."""
    match = CONSTRAINT.fullmatch(text)
    if match is None:
        return True
    key = match["key"]
    if not key.startswith(("node.labels.", "engine.labels.")) and key not in WELL_KNOWN:
        return True
    same = node.get(key, "").lower() == match["value"].lower()
    return same if match["how"] == "==" else not same


def warnings(compose: Compose) -> list[str]:
    """Return a sentence for each mistake that is likely to break later, such as a moving tag."""
    known = {service.name for service in compose.services}
    return [text for service in compose.services for text in _warnings(service, known)]


def _warnings(service: ComposeService, known: set[str]) -> Iterator[str]:
    who = f"service '{service.name}'"
    if not service.image:
        yield f"{who} has no image"
    elif _floats(service.image):
        yield f"{who} uses image '{service.image}', whose content can change at any time; name a version"
    for name in service.depends_on:
        if name not in known:
            yield f"{who} depends on '{name}', which is not a service of the recipe; abra refuses that"
    mounted = {mount.volume for mount in service.mounts}
    for label in service.labels:
        parts = label.split(".")
        if parts[:3] == ["backupbot", "backup", "volumes"] and (set(parts[3:4]) - mounted):
            yield f"{who} has label '{label}', but does not mount volume '{parts[3]}'"
    for key, name in _bare_names(service, known):
        yield (
            f"{who} uses the short host name '{name}' ({key}), which a service of any other stack on "
            f"network 'proxy' may have too; write ${{STACK_NAME}}_{name}"
        )


def _bare_names(service: ComposeService, known: set[str]) -> Iterator[tuple[str, str]]:
    """Yield each setting of a service on the proxy network that names another one without its stack.

    On each network it joins, a service has its short name as an alias (incident N1).
    """
    if PROXY_NETWORK not in service.networks:
        return
    for key, value in _environment(service).items():
        for name in sorted(known):
            at_host = rf"(^|//|@){re.escape(name)}(:\d+|/|$)"
            is_host = value != name or HOST_KEY.search(key)
            if is_host and re.search(at_host, value):
                yield key, name


def _environment(service: ComposeService) -> dict[str, str]:
    raw = service.raw.get("environment") or {}
    pairs = raw.items() if isinstance(raw, dict) else (str(e).partition("=")[::2] for e in raw)
    return {str(key): str(value) for key, value in pairs}


def _floats(image: str) -> bool:
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "@" not in image and (not colon or tag == "latest")
