"""What a recipe asks of the host beyond its own containers, volumes and names.

A recipe is data from whoever opened a pull request, so what is not known to be harmless is a hazard:
it is refused before anything is deployed, unless the suite's `recipe.yml` allows its kind by name.
Every file counts as it was written, also where a later one would take something back, and in every
way in which abra may read the variables.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.naming import PROXY_NETWORK
from harness.recipe.compose import Compose
from harness.recipe.interpolation import interpolated
from harness.recipe.yaml_loading import scalar_text

HAZARDS = {
    "docker-socket": "a service controls the host's Docker",
    "host-root": "a service uses a folder by which it can take the host over",
    "bind": "a service uses a folder or file of the host",
    "device": "a service uses a device of the host",
    "privileged": "a service runs privileged",
    "host-namespace": "a service shares the host's network, processes or users",
    "capability": "a service asks for more rights of the kernel",
    "security-option": "a service switches a protection off",
    "sysctl": "a service changes settings of the kernel",
    "published-port": "a service takes a port of the host, so two runs cannot be side by side",
    "many-tasks": "a service asks for more than 10 replicas",
    "foreign-object": "a secret, config, volume or network is another app's",
    "fixed-name": "something has the same name in every run, or may be another app's",
    "volume-driver": "a volume is made by a driver or from a place that is not Docker's own",
    "network-driver": "a network is no overlay of the Swarm",
    "outside-file": "a file is read that is not the recipe's",
    "host-role": "a service claims to be a part of the host, such as its backup bot",
    "build": "a service is built, where a Swarm only runs images",
    "include": "a file takes in another one unseen",
    "shell": "abra.sh does more than export values and define functions",
}
SENSITIVE_PATHS = (
    *("/etc", "/root", "/home", "/usr", "/bin", "/sbin", "/lib", "/nix", "/boot", "/proc", "/sys"),
    *("/run", "/var/run", "/var/lib", "/var/spool"),
)
HARMLESS_BINDS = frozenset({"/etc/localtime", "/etc/timezone"})  # as long as they are read-only
VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
OFF = frozenset({"", "false", "0", "no", "n", "off"})
MAX_REPLICAS = 10
REPLICAS = re.compile(r"[0-9]{1,9}")
SAFE_NAMESPACES = {  # what a service may say of its namespaces without sharing the host's
    "network_mode": {"", "none", "bridge", "default"},
    "pid": {""},
    "ipc": {"", "none", "private", "shareable"},
    "userns_mode": {""},
    "uts": {""},
    "cgroup": {"", "private"},
    "cgroupns_mode": {"", "private"},
    "cgroup_parent": {""},
}
LISTS = {
    "cap_add": "capability",
    "devices": "device",
    "device_cgroup_rules": "device",
    "gpus": "device",
    "runtime": "device",
    "sysctls": "sysctl",
    "credential_spec": "security-option",
}
BOT_LABEL = "coop-cloud.backupbot.enabled"


@dataclass(frozen=True, slots=True)
class Hazard:
    """One thing that a recipe asks of the host; `kind` is a key of HAZARDS, `where` file and key."""

    kind: str
    where: str
    text: str


def find(found: Compose, checkout: Path, stack: str) -> list[Hazard]:
    """Return everything that the files ask of the host, each once.

    stack: the name of the app's stack, which its secrets, configs and volumes carry.
    """
    listed = (
        hazard
        for values in found.readings
        for name, tree in found.files.items()
        for hazard in _File(name, checkout, stack).all(interpolated(tree, values))
    )
    return list(dict.fromkeys(listed))


def refusal(found: Collection[Hazard], allowed: Collection[str]) -> str:
    """Return why a recipe is not deployed, "" where all that it asks for is allowed."""
    refused = [hazard for hazard in found if hazard.kind not in allowed]
    if not refused:
        return ""
    told = "; ".join(f"{hazard.where}: {hazard.text} ({hazard.kind})" for hazard in refused)
    kinds = ", ".join(sorted({hazard.kind for hazard in refused}))
    return (
        f"the recipe asks for more than its own containers: {told}. Nothing was deployed; if the "
        f"operators trust it with that, its suite's recipe.yml allows it by 'allow: [{kinds}]'"
    )


def document() -> str:
    """Return the table of all kinds for the documentation."""
    rows = ["| name | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{kind}` | {text} |" for kind, text in HAZARDS.items())]) + "\n"


@dataclass(frozen=True, slots=True)
class _File:
    """One compose file of a checkout, for an app's stack."""

    name: str
    checkout: Path
    stack: str

    def all(self, tree: Mapping[str, Any]) -> Iterator[Hazard]:
        for service, body in _map_or_empty(tree.get("services")).items():
            yield from self.service(f"services.{service}", _map_or_empty(body))
        for key, body in _map_or_empty(tree.get("volumes")).items():
            yield from self.volume(f"volumes.{key}", key, _map_or_empty(body))
        for key, body in _map_or_empty(tree.get("networks")).items():
            yield from self.network(f"networks.{key}", key, _map_or_empty(body))
        for section in ("secrets", "configs"):
            for key, body in _map_or_empty(tree.get(section)).items():
                yield from self.object(f"{section}.{key}", key, _map_or_empty(body))
        if "include" in tree:
            yield self.hazard("include", "include", "takes in other files")

    def hazard(self, kind: str, key: str, text: str) -> Hazard:
        return Hazard(kind, f"{self.name}: {key}", text)

    # -- services

    def service(self, at: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        if scalar_text(body.get("privileged")).lower() not in OFF:
            yield self.hazard("privileged", f"{at}.privileged", "runs with all rights of the host")
        for key, harmless in SAFE_NAMESPACES.items():
            if scalar_text(body.get(key)) not in harmless:
                yield self.hazard("host-namespace", f"{at}.{key}", f"is '{scalar_text(body[key])}'")
        for key, kind in LISTS.items():
            for entry in _items(body.get(key)):
                yield self.hazard(kind, f"{at}.{key}", f"asks for '{scalar_text(entry)}'")
        for entry in _items(body.get("security_opt")):
            if scalar_text(entry).replace("=", ":") not in (
                "no-new-privileges",
                "no-new-privileges:true",
            ):
                yield self.hazard(
                    "security-option", f"{at}.security_opt", f"sets '{scalar_text(entry)}'"
                )
        for entry in _entries(body.get("ports")):
            port = entry.get("published") if isinstance(entry, dict) else entry
            if port is not None:
                yield self.hazard(
                    "published-port", f"{at}.ports", f"publishes '{scalar_text(port)}'"
                )
        for entry in _entries(body.get("volumes")):
            yield from self.mount(f"{at}.volumes", entry)
        for entry in _entries(body.get("env_file")):
            path = entry.get("path") if isinstance(entry, dict) else entry
            yield from self.file(f"{at}.env_file", path)
        for key, kind in (("build", "build"), ("extends", "include")):
            if body.get(key) is not None:
                yield self.hazard(kind, f"{at}.{key}", f"is '{scalar_text(body[key])}'")
        networks = body.get("networks")
        if "host" in (networks if isinstance(networks, list | dict) else ()):
            yield self.hazard("host-namespace", f"{at}.networks", "joins the host's network")
        yield from self.deployment(f"{at}.deploy", _map_or_empty(body.get("deploy")))

    def mount(self, at: str, entry: Any) -> Iterator[Hazard]:
        """Judge one mount: named volumes, anonymous ones and tmpfs are harmless, everything else is not."""
        kind, source, read_only = _mount(entry)
        if kind == "tmpfs" or (kind == "volume" and (not source or VOLUME.fullmatch(source))):
            return
        path = _plain_path(source)
        if path in HARMLESS_BINDS and read_only:
            return
        yield self.hazard(_bind_kind(path), at, f"mounts '{source}' of the host")

    def deployment(self, at: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        replicas = scalar_text(body.get("replicas"))
        if replicas and not (REPLICAS.fullmatch(replicas) and int(replicas) <= MAX_REPLICAS):
            yield self.hazard("many-tasks", f"{at}.replicas", f"is '{replicas}'")
        for label, value in _labels(body.get("labels")):
            if label.lower() == BOT_LABEL:
                yield self.hazard(
                    "host-role", f"{at}.labels", f"'{label}' is for the host's backup bot"
                )
            if label.lower().startswith("backupbot.") and ".." in re.split(r"[/,\s]", value):
                yield self.hazard(
                    "outside-file", f"{at}.labels", f"'{label}' leads out of the volume: '{value}'"
                )

    # -- what services share

    def volume(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        yield from self.named(at, key, body)
        options = _map_or_empty(body.get("driver_opts"))
        device = scalar_text(options.get("device"))
        if device.startswith("/") or "bind" in scalar_text(options.get("o")):
            yield self.hazard(
                _bind_kind(_plain_path(device)),
                f"{at}.driver_opts",
                f"mounts '{device}' of the host",
            )
        elif options:
            yield self.hazard(
                "volume-driver", f"{at}.driver_opts", f"sets {', '.join(sorted(options))}"
            )
        if scalar_text(body.get("driver")) not in ("", "local"):
            yield self.hazard(
                "volume-driver", f"{at}.driver", f"is '{scalar_text(body['driver'])}'"
            )

    def network(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        name = _name(key, body)
        if name == "host":
            yield self.hazard("host-namespace", at, "is the host's network")
        elif not (_is_external(body) and name == PROXY_NETWORK):
            yield from self.named(at, key, body)
        if scalar_text(body.get("driver")) not in ("", "overlay"):
            yield self.hazard(
                "network-driver", f"{at}.driver", f"is '{scalar_text(body['driver'])}'"
            )

    def object(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        """Judge a secret or config: whose it is, and where its content comes from."""
        yield from self.named(at, key, body)
        if body.get("file") is not None:
            yield from self.file(f"{at}.file", body["file"])
        for source in ("environment", "driver"):
            if body.get(source) is not None:
                yield self.hazard(
                    "outside-file", f"{at}.{source}", f"takes '{scalar_text(body[source])}'"
                )

    def named(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        """Judge a name: the stack's own begin with the stack's name."""
        name, external = _name(key, body), _is_external(body)
        if name.startswith(f"{self.stack}_") or not (external or body.get("name") is not None):
            return
        if external:
            yield self.hazard("foreign-object", at, f"is '{name}', which is not this app's")
        else:
            yield self.hazard("fixed-name", f"{at}.name", f"is '{name}' in every run")

    def file(self, at: str, path: Any) -> Iterator[Hazard]:
        """Judge a file that is read when the app is deployed: it must be one of the checkout's."""
        root = self.checkout.resolve()
        text = scalar_text(path)
        try:
            real = (root / text).resolve()
        except (OSError, ValueError, RuntimeError):
            real = Path("/")
        odd = not text or text.startswith("~") or any(c in text for c in "\\$")
        if odd or not real.is_relative_to(root) or real.is_relative_to(root / ".git"):
            yield self.hazard("outside-file", at, f"reads '{text}', which is no file of the recipe")


def _mount(entry: Any) -> tuple[str, str, bool]:
    """Return a mount's type, its source, and whether it is read-only."""
    if isinstance(entry, dict):
        read_only = scalar_text(entry.get("read_only")).lower() == "true"
        return (
            scalar_text(entry.get("type")) or "volume",
            scalar_text(entry.get("source")),
            read_only,
        )
    source, _, rest = scalar_text(entry).partition(":")
    if not rest:
        return "volume", "", False
    return "volume", source, "ro" in rest.partition(":")[2].split(",")


def _plain_path(path: str) -> str:
    """Return a path without what does not count; two slashes at its start are one."""
    plain = posixpath.normpath(path)
    return f"/{plain.lstrip('/')}" if plain.startswith("/") else plain


def _bind_kind(path: str) -> str:
    if (path.endswith(".sock") and "docker" in path) or path in (
        "/run",
        "/var/run",
        "/var",
    ):
        return "docker-socket"
    if path == "/dev" or path.startswith("/dev/"):
        return "device"
    inside = any(path == top or path.startswith(f"{top}/") for top in SENSITIVE_PATHS)
    return "host-root" if inside or not path.strip("/.") or path.startswith(("..", "~")) else "bind"


def _is_external(body: Mapping[str, Any]) -> bool:
    return scalar_text(body.get("external")).lower() not in OFF


def _name(key: str, body: Mapping[str, Any]) -> str:
    """Return what Docker calls an object that is external or has a name of its own, else its key."""
    external = body.get("external")
    inner = external.get("name") if isinstance(external, dict) else None
    return scalar_text(body.get("name") or inner) or key


def _labels(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from ((str(key), scalar_text(item)) for key, item in value.items())
    else:
        for item in _items(value):
            key, _, text = scalar_text(item).partition("=")
            yield key, text


def _entries(value: Any) -> list[Any]:
    """Return the entries of a list, one for anything else that is set."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _items(value: Any) -> list[Any]:
    """Return the entries as `_entries`, of a map its `key=value`."""
    if isinstance(value, dict):
        return [
            f"{key}={scalar_text(item)}" if item is not None else key for key, item in value.items()
        ]
    return _entries(value)


def _map_or_empty(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}
