"""Hazards: everything a recipe's compose files ask for beyond the app's own containers and volumes.

A recipe comes from an untrusted author (anyone can open a pull request), so whatever is not known to be
harmless is a hazard. It is refused before anything is deployed, unless the suite's `recipe.yml` allows
that kind of hazard. Each file is checked as it was written, even where a later file overrides it, and
with every set of variables that abra may use.
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
    "docker-socket": "a service can control the host's Docker",
    "host-root": "a service mounts a host folder that gives control over the host",
    "bind": "a service mounts another folder or file of the host",
    "device": "a service uses a device of the host",
    "privileged": "a service runs privileged",
    "host-namespace": "a service shares a namespace of the host, such as its network or processes",
    "capability": "a service adds Linux capabilities",
    "security-option": "a service sets a security option other than no-new-privileges",
    "sysctl": "a service sets kernel parameters",
    "published-port": "a service publishes a port of the host, so two runs cannot run at the same time",
    "many-tasks": "a service asks for more than 10 replicas",
    "foreign-object": "a secret, config, volume or network belongs to another app",
    "fixed-name": "an object has the same name in every run, or could belong to another app",
    "volume-driver": "a volume uses a driver or driver options other than Docker's defaults",
    "network-driver": "a network is not an overlay network",
    "outside-file": "content is read from outside of the recipe's repository",
    "host-role": "a service claims a role of the host, such as its backup bot",
    "build": "a service is built from source; a Swarm only runs images",
    "include": "a compose file includes or extends another file",
    "shell": "abra.sh does more than export values and define functions",
}
SENSITIVE_PATHS = (
    *("/etc", "/root", "/home", "/usr", "/bin", "/sbin", "/lib", "/nix", "/boot", "/proc", "/sys"),
    *("/run", "/var/run", "/var/lib", "/var/spool"),
)
HARMLESS_BINDS = frozenset({"/etc/localtime", "/etc/timezone"})  # if mounted read-only
VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
OFF = frozenset({"", "false", "0", "no", "n", "off"})
MAX_REPLICAS = 10
REPLICAS = re.compile(r"[0-9]{1,9}")
SAFE_NAMESPACES = {  # values that do not share a namespace of the host
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
    """One hazard of a recipe; `kind` is a key of HAZARDS, `where` is the file and the key in it."""

    kind: str
    where: str
    text: str


def find(compose: Compose, checkout: Path, stack: str) -> list[Hazard]:
    """Return all hazards of an app's compose files, without duplicates.

    Args:
        compose: the compose files.
        checkout: the recipe's checkout; files outside of it are a hazard.
        stack: name of the app's stack. Objects whose names start with it belong to the app.
    """
    listed = (
        hazard
        for values in compose.possible_variables
        for name, tree in compose.files.items()
        for hazard in _File(name, checkout, stack).all(interpolated(tree, values))
    )
    return list(dict.fromkeys(listed))


def refusal(found: Collection[Hazard], allowed: Collection[str]) -> str:
    """Return why a recipe is not deployed, "" if all its hazards are allowed."""
    refused = [hazard for hazard in found if hazard.kind not in allowed]
    if not refused:
        return ""
    listed = "; ".join(f"{hazard.where}: {hazard.text} ({hazard.kind})" for hazard in refused)
    kinds = ", ".join(sorted({hazard.kind for hazard in refused}))
    return (
        f"the recipe asks for something that is not allowed: {listed}. Nothing was deployed. "
        f"To allow it, an operator adds 'allow: [{kinds}]' to the recipe.yml of its suite"
    )


def document() -> str:
    """Return the table of all hazards for the documentation."""
    rows = ["| name | meaning |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{kind}` | {text} |" for kind, text in HAZARDS.items())]) + "\n"


@dataclass(frozen=True, slots=True)
class _File:
    """Finds the hazards of one compose file."""

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
            yield self.hazard("include", "include", "includes other files")

    def hazard(self, kind: str, key: str, text: str) -> Hazard:
        return Hazard(kind, f"{self.name}: {key}", text)

    # -- services

    def service(self, at: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        if scalar_text(body.get("privileged")).lower() not in OFF:
            yield self.hazard(
                "privileged", f"{at}.privileged", "gives the container full access to the host"
            )
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
        """Check one mount: only named volumes, anonymous volumes and tmpfs are harmless."""
        kind, source, read_only = _mount(entry)
        if kind == "tmpfs" or (kind == "volume" and (not source or VOLUME.fullmatch(source))):
            return
        path = _plain_path(source)
        if path in HARMLESS_BINDS and read_only:
            return
        yield self.hazard(_bind_kind(path), at, f"mounts the host path '{source}'")

    def deployment(self, at: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        replicas = scalar_text(body.get("replicas"))
        if replicas and not (REPLICAS.fullmatch(replicas) and int(replicas) <= MAX_REPLICAS):
            yield self.hazard("many-tasks", f"{at}.replicas", f"is '{replicas}'")
        for label, value in _labels(body.get("labels")):
            if label.lower() == BOT_LABEL:
                yield self.hazard(
                    "host-role",
                    f"{at}.labels",
                    f"label '{label}' is reserved for the host's backup bot",
                )
            if label.lower().startswith("backupbot.") and ".." in re.split(r"[/,\s]", value):
                yield self.hazard(
                    "outside-file",
                    f"{at}.labels",
                    f"label '{label}' points outside of the volume: '{value}'",
                )

    # -- objects that services share

    def volume(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        yield from self.named(at, key, body)
        options = _map_or_empty(body.get("driver_opts"))
        device = scalar_text(options.get("device"))
        if device.startswith("/") or "bind" in scalar_text(options.get("o")):
            yield self.hazard(
                _bind_kind(_plain_path(device)),
                f"{at}.driver_opts",
                f"mounts the host path '{device}'",
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
        """Check a secret or config: its owner, and the source of its content."""
        yield from self.named(at, key, body)
        if body.get("file") is not None:
            yield from self.file(f"{at}.file", body["file"])
        for source in ("environment", "driver"):
            if body.get(source) is not None:
                yield self.hazard(
                    "outside-file",
                    f"{at}.{source}",
                    f"reads its content from '{scalar_text(body[source])}'",
                )

    def named(self, at: str, key: str, body: Mapping[str, Any]) -> Iterator[Hazard]:
        """Check a name: those of the app's own objects start with the name of its stack."""
        name, external = _name(key, body), _is_external(body)
        if name.startswith(f"{self.stack}_") or not (external or body.get("name") is not None):
            return
        if external:
            yield self.hazard(
                "foreign-object", at, f"is '{name}', which does not belong to this app"
            )
        else:
            yield self.hazard("fixed-name", f"{at}.name", f"is '{name}', the same in every run")

    def file(self, at: str, path: Any) -> Iterator[Hazard]:
        """Check a file that a deployment reads: it must be in the checkout, and not in its `.git`."""
        root = self.checkout.resolve()
        text = scalar_text(path)
        try:
            real = (root / text).resolve()
        except (OSError, ValueError, RuntimeError):
            real = Path("/")
        odd = not text or text.startswith("~") or any(c in text for c in "\\$")
        if odd or not real.is_relative_to(root) or real.is_relative_to(root / ".git"):
            yield self.hazard(
                "outside-file", at, f"reads '{text}', which is not a file of the recipe"
            )


def _mount(entry: Any) -> tuple[str, str, bool]:
    """Return a mount's type and source, and True if it is read-only."""
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
    """Return a normalised path; `normpath` alone keeps two slashes at the start."""
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
    """Return the explicit name of an object, also of an external one; else its key."""
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
    """Return the entries of a list; any other value is one entry, null none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _items(value: Any) -> list[Any]:
    """Return entries like `_entries`; a map becomes `key=value` texts."""
    if isinstance(value, dict):
        return [
            f"{key}={scalar_text(item)}" if item is not None else key for key, item in value.items()
        ]
    return _entries(value)


def _map_or_empty(value: Any) -> dict[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}
