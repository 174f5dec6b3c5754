"""A recipe's compose files, read as data and as far as a run needs them.

Only the files that `COMPOSE_FILE` enables count. Files over 1 MiB are refused, and so are files
that aliases make large. Interpolation follows docker/cli (values, never keys). What such files ask
of the host is judged in `hazards`, what cannot work in `flaws`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.errors import RecipeFailure

LARGEST = 1024 * 1024  # bytes of one file
HEAVIEST = 4 * 1024 * 1024  # characters of one file with its aliases written out; 16 for each value
DEEPEST = 50  # values within each other
LONGEST_NUMBER = 100  # characters
MERGE = "tag:yaml.org,2002:merge"
VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|"
    r"\{(?P<braced>[A-Za-z_]\w*)(?P<kind>:?[-+?])?(?P<word>(?:\$\{[^{}]*\}|[^{}])*)\})"
)
EXPORT = re.compile(r"^export[ \t]+(?P<key>\w+)=(?P<value>\"[^\"]*\"|'[^']*'|\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount: a named volume ("" for others), its path in the container, a bind's source or ""."""

    volume: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Service:
    """One service as the files declare it; only the labels below `deploy` count."""

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
class Named:
    """A secret, config, network or volume of the files; `template` holds its variables still."""

    kind: str
    key: str
    template: str
    external: bool


@dataclass(frozen=True, slots=True)
class Covered:
    """A volume the backup takes: whole, or only some paths; `hook` is what makes a dump first."""

    service: str
    volume: str
    mount_path: str
    paths: tuple[str, ...] | None
    hook: str | None


@dataclass(frozen=True, slots=True)
class BackupSpec:
    """What the backup labels promise: services that take part, volumes taken, volumes left out."""

    services: tuple[str, ...]
    covered: tuple[Covered, ...]
    excluded: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Compose:
    """The merged compose files of one app.

    files: each as it was written. env: the app's values. exported: those of abra.sh.
    """

    services: tuple[Service, ...]
    version: str | None
    timeout: int | None
    objects: tuple[Named, ...] = ()
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    exported: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, checkout: Path, env: Mapping[str, str]) -> Compose:
        """Read and merge the files that the environment enables.

        Raises:
            RecipeFailure: a file is missing, too large, no YAML or no compose file; names file and
                line or key.
        """
        exported = exports(checkout)
        values = {**env, **exported}  # abra lays abra.sh over the env file
        names = (env.get("COMPOSE_FILE") or "compose.yml").split(":")
        files = {name: _read(checkout, name) for name in names}
        merged: dict[str, Any] = {}
        for name, raw in files.items():
            merged = _merge(merged, _tidied(interpolated(raw, values), name))
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
    def readings(self) -> tuple[Mapping[str, str], ...]:
        """The values of variables as abra may read them; the likeliest reading first.

        How abra reads abra.sh, and what becomes of a reference to nothing within a value, is not
        sure; so what must hold is to hold in every reading.
        """
        bare = {key: VARIABLE.sub("", value) for key, value in self.env.items()}
        listed = (
            {**self.env, **self.exported},
            {**self.exported, **self.env},
            {**bare, **self.exported},
            self.env,
        )
        return tuple(reading for n, reading in enumerate(listed) if reading not in listed[:n])

    @property
    def images(self) -> tuple[str, ...]:
        """All images, each once."""
        return tuple(sorted({service.image for service in self.services if service.image}))

    @property
    def backup(self) -> BackupSpec:
        """What the backup labels promise; labels count for the service that carries them."""
        taking = [service for service in self.services if _backs_up(service)]
        pairs = [(service, mount) for service in taking for mount in service.mounts if mount.volume]
        return BackupSpec(
            services=tuple(service.name for service in taking),
            covered=tuple(_covered(*pair) for pair in pairs if not _left_out(*pair)),
            excluded=tuple((s.name, m.volume) for s, m in pairs if _left_out(s, m)),
        )

    @property
    def is_backup_capable(self) -> bool:
        """Whether any service of this version takes part in backups (incident B7)."""
        return any(_backs_up(service) for service in self.services)

    @property
    def covered(self) -> tuple[Covered, ...]:
        """The volumes that the backup labels promise to take."""
        return self.backup.covered


def exports(checkout: Path) -> dict[str, str]:
    """Return the variables that abra.sh exports; the file is read, never run."""
    try:
        text = (checkout / "abra.sh").read_text(errors="replace")[:LARGEST]
    except OSError:
        return {}
    return {m["key"]: m["value"].strip("'\"") for m in EXPORT.finditer(text)}


def require_readable(checkout: Path) -> None:
    """Read every compose file that is there: a lint reads them all, enabled or not.

    Raises:
        RecipeFailure: as `Compose.load`.
    """
    for path in sorted(checkout.glob("compose*.y*ml")):
        _read(checkout, path.name)


# -- reading


def _read(checkout: Path, name: str) -> dict[str, Any]:
    path = checkout / name
    if not path.resolve().is_relative_to(checkout.resolve()):
        raise RecipeFailure(f"COMPOSE_FILE names '{name}', which is outside of the recipe")
    try:
        if path.stat().st_size > LARGEST:
            raise RecipeFailure(f"'{name}' of the recipe is larger than 1 MiB")
        loaded = _parsed(path.read_text(), name)
    except OSError as error:
        raise RecipeFailure(f"cannot read '{name}' of the recipe: {error.strerror}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RecipeFailure(_unreadable(name, error)) from error
    if not isinstance(loaded, dict):
        raise RecipeFailure(f"'{name}' of the recipe is no compose file: it has no keys")
    return loaded


def _parsed(text: str, name: str) -> Any:
    """Return the document's value; its size is known before anything is made of its aliases."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _weight(node, {}, 0) > HEAVIEST:
            raise RecipeFailure(f"'{name}' of the recipe becomes larger than 4 MiB through aliases")
        _refuse_late_merges(node, name, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _weight(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Return the size of a node with its aliases written out; one within itself is too heavy.

    Raises:
        ValueError: nested too deeply, or a number that is too long to be one.
    """
    if id(node) not in known:
        if depth > DEEPEST:
            raise ValueError("too deeply nested")
        known[id(node)] = HEAVIEST + 1
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        else:
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
        own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if own > LONGEST_NUMBER and node.tag.endswith((":int", ":float")):
            raise ValueError(f"a number of {own} characters")
        known[id(node)] = 16 + own + sum(_weight(part, known, depth + 1) for part in inner)
    return known[id(node)]


def _refuse_late_merges(node: yaml.Node, name: str, seen: set[int]) -> None:
    """Refuse `<<` behind a key that it holds too: in some readers the later, in some the own value counts.

    Raises:
        RecipeFailure: names file and line.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        before: set[str] = set()
        for key, value in node.value:
            twice = before & _keys(value) if key.tag == MERGE else set()
            if twice:
                raise RecipeFailure(
                    f"'{name}' line {key.start_mark.line + 1} of the recipe lays '<<' over "
                    f"'{min(twice)}', which stands before it; readers disagree about which one "
                    "counts, so put '<<' first"
                )
            before.add(str(key.value))
            _refuse_late_merges(value, name, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_late_merges(item, name, seen)


def _keys(node: yaml.Node) -> set[str]:
    """Return the keys that `<<` takes from a map or a list of maps, from their own `<<` too."""
    if isinstance(node, yaml.SequenceNode):
        return set().union(*(_keys(item) for item in node.value))
    if not isinstance(node, yaml.MappingNode):
        return set()
    merged = (_keys(value) for key, value in node.value if key.tag == MERGE)
    return {str(key.value) for key, _ in node.value}.union(*merged)


def _unreadable(name: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f" line {mark.line + 1}" if mark is not None else ""
    why = "too deeply nested" if isinstance(error, RecursionError) else str(error)
    problem = " ".join((getattr(error, "problem", None) or why).split())
    return f"'{name}'{line} of the recipe is not readable as YAML: {problem}"


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """Return a value of a compose file with its variables replaced; keys stay as they are."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _variable(match, env), value)
    if isinstance(value, dict):
        return {key: interpolated(item, env) for key, item in value.items()}
    return [interpolated(item, env) for item in value] if isinstance(value, list) else value


def _variable(match: re.Match[str], env: Mapping[str, str]) -> str:
    """Return what one `${…}` stands for; with a colon an empty value counts as unset."""
    if match["escaped"]:
        return "$"
    kind, key = match["kind"] or "", match["braced"] or match["plain"]
    found = env.get(key, "")
    is_set = bool(found) if kind.startswith(":") else key in env
    word = str(interpolated(match["word"] or "", env))
    if kind.endswith("-"):
        return found if is_set else word
    return (word if is_set else "") if kind.endswith("+") else found


# -- merging


def _tidied(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one file's services with every list that is merged by key turned into a map."""
    services = _map(raw.get("services"), f"'{name}': services")
    where = f"'{name}': services."
    return {"services": {key: _tidied_service(b, where + key) for key, b in services.items()}}


def _tidied_service(raw: Any, where: str) -> dict[str, Any]:
    body = _map(raw, where)
    deploy = _map(body.get("deploy"), f"{where}.deploy")
    mounts = [_mount(entry, where) for entry in _list(body.get("volumes"), f"{where}.volumes")]
    return {
        **body,
        **{key: _by_source(body.get(key), f"{where}.{key}") for key in ("secrets", "configs")},
        **{key: _names(body.get(key), f"{where}.{key}") for key in ("networks", "depends_on")},
        "deploy": {**deploy, "labels": _pairs(deploy.get("labels"), f"{where}.deploy.labels")},
        "volumes": {mount.path: mount for mount in mounts},
    }


def _merge(old: Any, new: Any) -> Any:
    """Merge as compose does, as far as needed: maps by key, lists one after the other."""
    if isinstance(old, dict) and isinstance(new, dict):
        both = {**old, **new}
        return {k: _merge(old[k], new[k]) if k in old and k in new else both[k] for k in both}
    return [*old, *new] if isinstance(old, list) and isinstance(new, list) else new


def _map(value: Any, where: str) -> dict[str, Any]:
    if value is None or isinstance(value, dict):
        return {str(key): item for key, item in (value or {}).items()}
    raise RecipeFailure(f"{where} must be 'key: value' lines, but is '{str(value)[:60]}'")


def _list(value: Any, where: str) -> list[Any]:
    if value is None or isinstance(value, list):
        return value or []
    raise RecipeFailure(f"{where} must be a list, but is '{str(value)[:60]}'")


def _pairs(value: Any, where: str) -> dict[str, str]:
    """Return labels as a map, whichever of the two forms they have."""
    if not isinstance(value, list):
        return {key: _text(item) for key, item in _map(value, where).items()}
    split = (_text(item).partition("=") for item in value)
    return {key: item for key, _, item in split}


def _names(value: Any, where: str) -> dict[str, None]:
    if isinstance(value, list):
        return {_text(item): None for item in value}
    return dict.fromkeys(_map(value, where))


def _by_source(value: Any, where: str) -> dict[str, None]:
    entries = _list(value, where)
    return {_text(e.get("source") if isinstance(e, dict) else e): None for e in entries}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mount(entry: Any, where: str) -> Mount:
    if isinstance(entry, dict):
        kind, source = entry.get("type", "volume"), _text(entry.get("source"))
        target = _text(entry.get("target"))
        return Mount(source, target, "") if kind == "volume" else Mount("", target, source)
    if not isinstance(entry, str):
        raise RecipeFailure(f"{where}.volumes has '{str(entry)[:60]}', which is no mount")
    source, _, rest = entry.partition(":")
    if not rest:
        return Mount("", source, "")
    path = rest.partition(":")[0]
    return Mount("", path, source) if source[:1] in ("/", ".", "~") else Mount(source, path, "")


def _service(name: str, body: Mapping[str, Any]) -> Service:
    where = f"services.{name}"
    deploy = body["deploy"]
    replicas = _text(deploy.get("replicas"))
    health = body.get("healthcheck")
    return Service(
        name=name,
        image=_text(body.get("image")),
        labels=deploy["labels"],
        mounts=tuple(body["volumes"].values()),
        secrets=tuple(body["secrets"]),
        configs=tuple(body["configs"]),
        networks=tuple(body["networks"]),
        depends_on=tuple(body["depends_on"]),
        healthcheck=None if health is None else _map(health, f"{where}.healthcheck"),
        mode=_text(deploy.get("mode")) or "replicated",
        replicas=int(replicas) if re.fullmatch(r"[0-9]{1,6}", replicas) else 1,
        endpoint_mode=_text(deploy.get("endpoint_mode")),
        update_config=_map(deploy.get("update_config"), f"{where}.deploy.update_config"),
        restart_policy=_map(deploy.get("restart_policy"), f"{where}.deploy.restart_policy"),
        raw=body,
    )


def _objects(files: Mapping[str, Mapping[str, Any]]) -> Iterator[Named]:
    """Yield the files' secrets, configs, networks and volumes; a later file's word counts."""
    for kind in ("secret", "config", "network", "volume"):
        merged: dict[str, Any] = {}
        for name, raw in files.items():
            found = _map(raw.get(f"{kind}s"), f"'{name}': {kind}s")
            tidy = {key: _map(body, f"'{name}': {kind}s.{key}") for key, body in found.items()}
            merged = _merge(merged, tidy)
        for key, body in merged.items():
            external = body.get("external") or False
            inner = external.get("name") if isinstance(external, dict) else None
            yield Named(kind, key, _text(body.get("name") or inner), bool(external))


# -- backups


def _backs_up(service: Service) -> bool:
    return service.labels.get("backupbot.backup", "").lower() == "true"


def _volume_label(mount: Mount) -> str:
    return f"backupbot.backup.volumes.{mount.volume}"


def _left_out(service: Service, mount: Mount) -> bool:
    return service.labels.get(_volume_label(mount), "true").lower() == "false"


def _covered(service: Service, mount: Mount) -> Covered:
    listed = service.labels.get(f"{_volume_label(mount)}.path", "").split(",")
    paths = tuple(path for part in listed if (path := part.strip().strip("/")))
    return Covered(
        service=service.name,
        volume=mount.volume,
        mount_path=mount.path,
        paths=paths or None,
        hook=service.labels.get("backupbot.backup.pre-hook"),
    )
