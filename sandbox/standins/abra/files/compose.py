"""A recipe's compose files, merged as far as the stand-in needs it. For a deploy, Docker merges them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.standins.abra.log import Fatal

DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+|0")
HEALTH_DURATIONS = ("interval", "timeout", "start_period", "start_interval")
UPDATE_DURATIONS = ("delay", "monitor", "window")

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compose:
    """The merged files of one app or recipe, with variables not replaced yet."""

    files: tuple[Path, ...]
    tree: Tree

    @property
    def version(self) -> str | None:
        """The `version:` of the files, as text."""
        value = self.tree.get("version")
        return None if value is None else str(value)

    @property
    def services(self) -> dict[str, Tree]:
        """The services by name."""
        return {name: body or {} for name, body in (self.tree.get("services") or {}).items()}

    def section(self, name: str) -> dict[str, Tree]:
        """Return `secrets`, `configs` or `volumes` by key."""
        return {key: body or {} for key, body in (self.tree.get(name) or {}).items()}


def enabled(folder: Path, values: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that COMPOSE_FILE names, else compose.yml."""
    names = [name for name in (values.get("COMPOSE_FILE") or "compose.yml").split(":") if name]
    return tuple(folder / name for name in names)


def all_present(folder: Path) -> tuple[Path, ...]:
    """Return every compose file of a checkout, compose.yml first, as a lint reads them."""
    found = sorted(folder.glob("compose*.yml"), key=lambda p: (p.name != "compose.yml", p.name))
    return tuple(found)


def load(files: Sequence[Path]) -> Compose:
    """Read and merge compose files, and check what abra checks before it replaces variables.

    Raises:
        Fatal: a file is missing or invalid YAML, a duration contains a variable, or a service depends on one
            that does not exist.
    """
    tree: Tree = {}
    for path in files:
        tree = merge(tree, _read(path))
    problems = [*bad_durations(tree), *bad_dependencies(tree)]
    if problems:
        raise Fatal(problems[0])
    return Compose(tuple(files), tree)


def _read(path: Path) -> Tree:
    import yaml  # here: commands that read no compose file start 25 ms faster

    try:
        text = path.read_text()
    except OSError as error:
        raise Fatal(f"cannot read compose file '{path}': {error.strerror}") from error
    try:
        tree = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise Fatal(f"'{path.name}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise Fatal(f"'{path.name}': top-level object must be a mapping")
    if not isinstance(tree.get("services") or {}, dict):
        raise Fatal(f"'{path.name}': services must be a mapping")
    return tree


def merge(under: Tree, over: Tree) -> Tree:
    """Return two trees merged: mappings key by key, and `over` wins for everything else."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = merge(below, value) if both and isinstance(below, dict) else value
    return merged


def pairs(value: Any) -> dict[str, str]:
    """Return labels or environment as a mapping, whether written as one or as a list."""
    if isinstance(value, dict):
        return {str(k): "" if v is None else str(v) for k, v in value.items()}
    return {k: v for k, _, v in (str(item).partition("=") for item in value or [])}


def deploy_labels(service: Tree) -> dict[str, str]:
    """Return a service's deploy labels."""
    return pairs((service.get("deploy") or {}).get("labels"))


def secret_keys(services: Iterable[Tree]) -> set[str]:
    """Return the keys of the secrets that some services use."""
    return {
        str(item.get("source")) if isinstance(item, dict) else str(item)
        for service in services
        for item in service.get("secrets") or []
    }


def publishes_ingress(service: Tree) -> bool:
    """Return True if a service publishes a port through the routing mesh."""
    ports = service.get("ports") or []
    return any(not (isinstance(p, dict) and p.get("mode") == "host") for p in ports)


def bad_durations(tree: Tree) -> list[str]:
    """Return abra's message for each value that is not a duration before variables are replaced."""
    return [
        f"services.{where} Does not match format 'duration'"
        for where, value in _durations(tree)
        if isinstance(value, str) and not DURATION.fullmatch(value)
    ]


def _durations(tree: Tree) -> Iterator[tuple[str, Any]]:
    for name, service in (tree.get("services") or {}).items():
        if not isinstance(service, dict):
            continue
        deploy = service.get("deploy") or {}
        if "stop_grace_period" in service:
            yield f"{name}.stop_grace_period", service["stop_grace_period"]
        for key in HEALTH_DURATIONS:
            if key in (service.get("healthcheck") or {}):
                yield f"{name}.healthcheck.{key}", service["healthcheck"][key]
        for part in ("update_config", "rollback_config", "restart_policy"):
            for key in UPDATE_DURATIONS:
                if key in (deploy.get(part) or {}):
                    yield f"{name}.deploy.{part}.{key}", deploy[part][key]


def bad_dependencies(tree: Tree) -> list[str]:
    """Return Docker's message for each `depends_on` that names a missing service."""
    services = tree.get("services") or {}
    return [
        f'service "{name}" depends on undefined service "{other}": invalid compose project'
        for name, service in services.items()
        if isinstance(service, dict)
        for other in service.get("depends_on") or []
        if other not in services
    ]
