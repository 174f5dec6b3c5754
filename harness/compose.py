"""A recipe's compose files, read as data and as far as a run needs them.

Only the files that `COMPOSE_FILE` enables count. Files over 1 MiB are refused, and so are files that
aliases make large.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import UsageError

LARGEST = 1024 * 1024  # bytes
MOST_NODES = 100_000  # values of one file
VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|\{(?P<braced>\w+)(?::?(?P<kind>[-+?])(?P<word>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))"
)
EXPORT = re.compile(r"^\s*export\s+(?P<key>\w+)=(?P<value>\"[^\"]*\"|'[^']*'|\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of a service: a named volume (or "" for a bind) and its path in the container."""

    volume: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service as the files declare it."""

    name: str
    image: str
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Covered:
    """A volume that the backup takes: whole, or only some paths; `hook` is what makes a dump first."""

    service: str
    volume: str
    mount_path: str
    paths: tuple[str, ...] | None
    hook: str | None


@dataclass(frozen=True, slots=True)
class Compose:
    """The merged compose files of one app."""

    services: tuple[Service, ...]
    version: str | None
    timeout: int | None

    @classmethod
    def load(cls, checkout: Path, env: Mapping[str, str]) -> Compose:
        """Read and merge the files that the environment enables.

        Raises:
            UsageError: a file is missing, too large, or no YAML; names file and line.
        """
        values = {**exports(checkout), **env}
        names = (values.get("COMPOSE_FILE") or "compose.yml").split(":")
        merged: dict[str, Any] = {}
        for name in names:
            merged = _merge(merged, _interpolated(_read(checkout, name), values))
        raw = merged.get("services")
        if not isinstance(raw, dict) or not raw:
            raise UsageError(f"'{names[0]}' of the recipe has no services")
        services = tuple(_service(name, body or {}) for name, body in sorted(raw.items()))
        labels = {k: v for s in services for k, v in s.labels.items()}
        stack = values.get("STACK_NAME", "")
        timeout = labels.get(f"coop-cloud.{stack}.timeout", "")
        return cls(
            services=services,
            version=labels.get(f"coop-cloud.{stack}.version"),
            timeout=int(timeout) if timeout.isdigit() else None,
        )

    @property
    def images(self) -> tuple[str, ...]:
        """All images, each once."""
        return tuple(sorted({service.image for service in self.services if service.image}))

    @property
    def is_backup_capable(self) -> bool:
        """Whether any service of this version takes part in backups."""
        return any(_backs_up(service) for service in self.services)

    @property
    def covered(self) -> tuple[Covered, ...]:
        """The volumes that the backup labels promise to take."""
        return tuple(
            _covered(service, mount)
            for service in self.services
            if _backs_up(service)
            for mount in service.mounts
            if mount.volume and service.labels.get(_volume_label(mount), "true") != "false"
        )


def exports(checkout: Path) -> dict[str, str]:
    """Return the variables that abra.sh exports; the file is read, never run."""
    try:
        text = (checkout / "abra.sh").read_text(errors="replace")
    except OSError:
        return {}
    return {m["key"]: m["value"].strip("'\"") for m in EXPORT.finditer(text)}


def _backs_up(service: Service) -> bool:
    return service.labels.get("backupbot.backup", "").lower() == "true"


def _volume_label(mount: Mount) -> str:
    return f"backupbot.backup.volumes.{mount.volume}"


def _covered(service: Service, mount: Mount) -> Covered:
    paths = service.labels.get(f"{_volume_label(mount)}.path")
    return Covered(
        service=service.name,
        volume=mount.volume,
        mount_path=mount.path,
        paths=tuple(p.strip().strip("/") for p in paths.split(",")) if paths else None,
        hook=service.labels.get("backupbot.backup.pre-hook"),
    )


def _read(checkout: Path, name: str) -> dict[str, Any]:
    path = checkout / name
    if not path.resolve().is_relative_to(checkout.resolve()):
        raise UsageError(f"COMPOSE_FILE names '{name}', which is outside of the recipe")
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"'{name}' of the recipe is larger than 1 MiB")
        loaded = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read '{name}' of the recipe: {error.strerror}") from error
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        where = " ".join(str(error).split())
        raise UsageError(f"'{name}' of the recipe is not readable as YAML: {where}") from error
    if not isinstance(loaded, dict):
        raise UsageError(f"'{name}' of the recipe is no compose file: it has no keys")
    if _size(loaded, MOST_NODES) > MOST_NODES:
        raise UsageError(f"'{name}' of the recipe grows beyond {MOST_NODES} values through aliases")
    return loaded


def _size(value: Any, most: int) -> int:
    """Return how many values a document has with its aliases written out, counting up to `most`."""
    found = 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if found > most:
            break
        found += _size(item, most - found)
    return found


def _interpolated(value: Any, env: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _variable(match, env), value)
    if isinstance(value, dict):
        return {_interpolated(k, env): _interpolated(v, env) for k, v in value.items()}
    return [_interpolated(v, env) for v in value] if isinstance(value, list) else value


def _variable(match: re.Match[str], env: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    found = env.get(match["braced"] or match["plain"], "")
    word = match["word"] or ""
    if match["kind"] == "-":
        return found or _interpolated(word, env)
    return (word if found else "") if match["kind"] == "+" else found


def _merge(old: Any, new: Any) -> Any:
    """Merge as compose does, as far as needed: maps by key, lists one after the other."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {
            k: _merge(old[k], new[k]) if k in old and k in new else {**old, **new}[k]
            for k in {**old, **new}
        }
    return [*old, *new] if isinstance(old, list) and isinstance(new, list) else new


def _service(name: str, body: Mapping[str, Any]) -> Service:
    deploy = body.get("deploy") or {}
    secrets = body.get("secrets") or []
    return Service(
        name=str(name),
        image=str(body.get("image") or ""),
        labels=_labels(deploy.get("labels") or {}),
        mounts=tuple(_mount(entry) for entry in body.get("volumes") or []),
        secrets=tuple(s["source"] if isinstance(s, dict) else str(s) for s in secrets),
    )


def _labels(raw: Any) -> dict[str, str]:
    if isinstance(raw, dict):
        return {str(key): _text(value) for key, value in raw.items()}
    pairs = (str(item).partition("=") for item in raw)
    return {key: value for key, _, value in pairs}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mount(entry: Any) -> Mount:
    if isinstance(entry, dict):
        source = str(entry.get("source") or "")
        named = entry.get("type", "volume") == "volume"
        return Mount(source if named else "", str(entry.get("target") or ""), source)
    source, _, rest = str(entry).partition(":")
    named = bool(rest) and source[:1] not in ("/", ".", "~")
    return Mount(source if named else "", (rest or source).partition(":")[0], source)
