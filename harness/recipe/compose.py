"""The merged compose files of one app, as far as a run needs them.

Only the files that `COMPOSE_FILE` enables count. `hazards` checks what they ask of the host, `flaws`
what cannot work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import RecipeFailure
from harness.recipe.abra_sh import exports
from harness.recipe.interpolation import VARIABLE, interpolated
from harness.recipe.yaml_loading import read_file, scalar_text


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount of a service.

    Attributes:
        volume: name of the volume, "" for a bind mount, tmpfs or anonymous volume.
        path: path in the container.
        source: host path of a bind mount, else "".
    """

    volume: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class ComposeService:
    """One service. Its labels are those below `deploy`; `raw` is the whole merged section."""

    name: str
    image: str
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    secrets: tuple[str, ...]
    configs: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    healthcheck: Mapping[str, Any] | None = None
    mode: str = "replicated"
    replicas: int = 1
    endpoint_mode: str = ""
    update_config: Mapping[str, Any] = field(default_factory=dict)
    restart_policy: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ComposeObject:
    """A secret, config, network or volume at the top level of the files.

    Attributes:
        kind: `secret`, `config`, `network` or `volume`.
        key: its key in the files.
        template: its explicit name with variables not yet replaced, "" if it has none.
        external: True if it is not created by the deployment.
    """

    kind: str
    key: str
    template: str
    external: bool


@dataclass(frozen=True, slots=True)
class CoveredVolume:
    """A volume that the backup includes.

    Attributes:
        service: the service that mounts it.
        volume: its key in the compose files.
        mount_path: path in the container.
        paths: the paths in the volume that are included, None for all.
        hook: command that runs before the backup, for example to write a dump.
    """

    service: str
    volume: str
    mount_path: str
    paths: tuple[str, ...] | None
    hook: str | None


@dataclass(frozen=True, slots=True)
class Compose:
    """The merged compose files of one app.

    Attributes:
        services: the services, with variables replaced, sorted by name.
        version: the version label of the recipe, None if there is none.
        timeout: the deploy timeout label in seconds, None if missing or not a number.
        objects: top-level secrets, configs, networks and volumes.
        files: the content of each file before merging and before variables are replaced.
        env: the values of the app's env file.
        exported: the values that abra.sh exports.
    """

    services: tuple[ComposeService, ...]
    version: str | None
    timeout: int | None
    objects: tuple[ComposeObject, ...] = ()
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    exported: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, checkout: Path, env: Mapping[str, str]) -> Compose:
        """Read and merge the compose files that are enabled.

        Args:
            checkout: the recipe's checkout.
            env: the app's variables, `STACK_NAME` included; `COMPOSE_FILE` names the files.

        Raises:
            RecipeFailure: a file is missing, too large, invalid YAML or not a compose file. The
                message names the file and the line or key.
        """
        exported = exports(checkout)
        values = {**env, **exported}  # in abra, abra.sh overrides the env file
        names = (env.get("COMPOSE_FILE") or "compose.yml").split(":")
        files = {name: read_file(checkout, name) for name in names}
        merged: dict[str, Any] = {}
        for name, raw in files.items():
            merged = _merge(merged, _normalise(interpolated(raw, values), name))
        if not merged.get("services"):
            raise RecipeFailure(f"'{names[0]}' of the recipe has no services")
        services = tuple(_service(name, body) for name, body in sorted(merged["services"].items()))
        labels = {key: value for service in services for key, value in service.labels.items()}
        prefix = f"coop-cloud.{values.get('STACK_NAME', '')}"
        timeout = labels.get(f"{prefix}.timeout", "")
        return cls(
            services=services,
            version=labels.get(f"{prefix}.version"),
            timeout=int(timeout) if re.fullmatch(r"[0-9]{1,6}", timeout) else None,
            objects=tuple(_objects(files)),
            files=files,
            env=env,
            exported=exported,
        )

    @property
    def possible_variables(self) -> tuple[Mapping[str, str], ...]:
        """The sets of variables that abra may use, the most likely one first.

        It is not certain whether abra.sh or the env file wins in abra, and what happens to an
        undefined variable inside a value. So a check has to hold for every set.
        """
        without_references = {key: VARIABLE.sub("", value) for key, value in self.env.items()}
        listed = (
            {**self.env, **self.exported},
            {**self.exported, **self.env},
            {**without_references, **self.exported},
            self.env,
        )
        return tuple(values for n, values in enumerate(listed) if values not in listed[:n])

    @property
    def images(self) -> tuple[str, ...]:
        """All images, sorted, without duplicates."""
        return tuple(sorted({service.image for service in self.services if service.image}))

    @property
    def backed_up_services(self) -> tuple[str, ...]:
        """Names of the services that take part in backups."""
        return tuple(service.name for service in self.services if _backs_up(service))

    @property
    def is_backup_capable(self) -> bool:
        """True if any service of this version takes part in backups (incident B7)."""
        return bool(self.backed_up_services)

    @property
    def covered(self) -> tuple[CoveredVolume, ...]:
        """The volumes that the backup includes, according to the labels of the services that mount them."""
        return tuple(
            _covered(service, mount)
            for service in self.services
            if _backs_up(service)
            for mount in service.mounts
            if mount.volume and not _is_excluded(service, mount)
        )


# -- merging


def _normalise(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one file's services; lists that compose merges by key become maps."""
    services = _require_map(raw.get("services"), f"'{name}': services")
    where = f"'{name}': services."
    return {"services": {key: _normalise_service(b, where + key) for key, b in services.items()}}


def _normalise_service(raw: Any, where: str) -> dict[str, Any]:
    body = _require_map(raw, where)
    deploy = _require_map(body.get("deploy"), f"{where}.deploy")
    mounts = [
        _mount(entry, where) for entry in _require_list(body.get("volumes"), f"{where}.volumes")
    ]
    return {
        **body,
        **{key: _by_source(body.get(key), f"{where}.{key}") for key in ("secrets", "configs")},
        **{key: _names(body.get(key), f"{where}.{key}") for key in ("networks", "depends_on")},
        "deploy": {**deploy, "labels": _pairs(deploy.get("labels"), f"{where}.deploy.labels")},
        "volumes": {mount.path: mount for mount in mounts},
    }


def _merge(old: Any, new: Any) -> Any:
    """Merge like compose does, as far as needed: maps by key, lists by appending."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {**old, **new}
        return {k: _merge(old[k], new[k]) if k in old and k in new else both[k] for k in both}
    return [*old, *new] if isinstance(old, list) and isinstance(new, list) else new


def _require_map(value: Any, where: str) -> dict[str, Any]:
    if value is None or isinstance(value, dict):
        return {str(key): item for key, item in (value or {}).items()}
    raise RecipeFailure(f"{where} must be a map of 'key: value' lines, but is '{str(value)[:60]}'")


def _require_list(value: Any, where: str) -> list[Any]:
    if value is None or isinstance(value, list):
        return value or []
    raise RecipeFailure(f"{where} must be a list, but is '{str(value)[:60]}'")


def _pairs(value: Any, where: str) -> dict[str, str]:
    """Return labels as a map; compose allows a map or a list of `key=value`."""
    if not isinstance(value, list):
        return {key: scalar_text(item) for key, item in _require_map(value, where).items()}
    split = (scalar_text(item).partition("=") for item in value)
    return {key: item for key, _, item in split}


def _names(value: Any, where: str) -> dict[str, None]:
    if isinstance(value, list):
        return {scalar_text(item): None for item in value}
    return dict.fromkeys(_require_map(value, where))


def _by_source(value: Any, where: str) -> dict[str, None]:
    entries = _require_list(value, where)
    return {scalar_text(e.get("source") if isinstance(e, dict) else e): None for e in entries}


def _mount(entry: Any, where: str) -> Mount:
    if isinstance(entry, dict):
        kind, source = entry.get("type", "volume"), scalar_text(entry.get("source"))
        target = scalar_text(entry.get("target"))
        return Mount(source, target, "") if kind == "volume" else Mount("", target, source)
    if not isinstance(entry, str):
        raise RecipeFailure(f"{where}.volumes has '{str(entry)[:60]}', which is not a mount")
    source, _, rest = entry.partition(":")
    if not rest:
        return Mount("", source, "")
    path = rest.partition(":")[0]
    return Mount("", path, source) if source[:1] in ("/", ".", "~") else Mount(source, path, "")


def _service(name: str, body: Mapping[str, Any]) -> ComposeService:
    where = f"services.{name}"
    deploy = body["deploy"]
    replicas = scalar_text(deploy.get("replicas"))
    health = body.get("healthcheck")
    return ComposeService(
        name=name,
        image=scalar_text(body.get("image")),
        labels=deploy["labels"],
        mounts=tuple(body["volumes"].values()),
        secrets=tuple(body["secrets"]),
        configs=tuple(body["configs"]),
        networks=tuple(body["networks"]),
        depends_on=tuple(body["depends_on"]),
        healthcheck=None if health is None else _require_map(health, f"{where}.healthcheck"),
        mode=scalar_text(deploy.get("mode")) or "replicated",
        replicas=int(replicas) if re.fullmatch(r"[0-9]{1,6}", replicas) else 1,
        endpoint_mode=scalar_text(deploy.get("endpoint_mode")),
        update_config=_require_map(deploy.get("update_config"), f"{where}.deploy.update_config"),
        restart_policy=_require_map(deploy.get("restart_policy"), f"{where}.deploy.restart_policy"),
        raw=body,
    )


def _objects(files: Mapping[str, Mapping[str, Any]]) -> Iterator[ComposeObject]:
    """Yield the files' secrets, configs, networks and volumes; later files override earlier ones."""
    for kind in ("secret", "config", "network", "volume"):
        merged: dict[str, Any] = {}
        for name, raw in files.items():
            found = _require_map(raw.get(f"{kind}s"), f"'{name}': {kind}s")
            normal = {
                key: _require_map(body, f"'{name}': {kind}s.{key}") for key, body in found.items()
            }
            merged = _merge(merged, normal)
        for key, body in merged.items():
            external = body.get("external") or False
            inner = external.get("name") if isinstance(external, dict) else None
            yield ComposeObject(kind, key, scalar_text(body.get("name") or inner), bool(external))


# -- backups


def _backs_up(service: ComposeService) -> bool:
    return service.labels.get("backupbot.backup", "").lower() == "true"


def _volume_label(mount: Mount) -> str:
    return f"backupbot.backup.volumes.{mount.volume}"


def _is_excluded(service: ComposeService, mount: Mount) -> bool:
    return service.labels.get(_volume_label(mount), "true").lower() == "false"


def _covered(service: ComposeService, mount: Mount) -> CoveredVolume:
    listed = service.labels.get(f"{_volume_label(mount)}.path", "").split(",")
    paths = tuple(path for part in listed if (path := part.strip().strip("/")))
    return CoveredVolume(
        service=service.name,
        volume=mount.volume,
        mount_path=mount.path,
        paths=paths or None,
        hook=service.labels.get("backupbot.backup.pre-hook"),
    )
