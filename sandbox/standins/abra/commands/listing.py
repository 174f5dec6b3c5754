"""`app ls` and `app ps`, as tables or as abra's JSON."""

from __future__ import annotations

import json
import time
from typing import Any

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands import tables
from sandbox.standins.abra.commands.preconditions import ensured_app, require_deployed
from sandbox.standins.abra.files import abra_dir, versions
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.tools import docker

UNKNOWN = "unknown"


def app_ls(line: CommandLine) -> None:
    """List all apps of all servers."""
    found = servers(abra_dir.current().apps(), status=line.has("status"))
    if line.has("machine"):
        log.info("reading apps", machine=True)
        print(json.dumps(found))
        return
    print(tables.plain([row for server in found.values() for row in server["apps"]]))


def app_ps(line: CommandLine) -> None:
    """List the services of a deployed app."""
    app = ensured_app(line)
    require_deployed(app)
    found = services(app)
    if line.has("machine"):
        log.info(f"reading services of {app.domain}", machine=True)
        print(json.dumps(found))
        return
    print(tables.plain(list(found.values())))


def servers(apps: list[App], *, status: bool) -> dict[str, Any]:
    """Return abra's object by server, in which every value of an app is text.

    Args:
        apps: the apps to list.
        status: True to look up what is deployed as well.
    """
    labels = _labels_by_stack() if status else {}
    found: dict[str, Any] = {}
    for app in apps:
        entry = found.setdefault(app.server, _empty_server())
        row = _row(app, labels.get(app.stack), status=status)
        entry["apps"].append(row)
        entry["appCount"] += 1
        if status and row["status"] == "deployed":
            entry["versionCount" if row["version"] != UNKNOWN else "unversionedCount"] += 1
            entry["latestCount" if row["upgrade"] == "latest" else "upgradeCount"] += 1
    return found


def _empty_server() -> dict[str, Any]:
    counts = ("appCount", "versionCount", "unversionedCount", "latestCount", "upgradeCount")
    return {"apps": [], **dict.fromkeys(counts, 0)}


def _labels_by_stack() -> dict[str, dict[str, str]]:
    """Return the labels of each deployed stack: those of its service `app` if it has one."""
    found: dict[str, dict[str, str]] = {}
    for service in docker.services():
        labels = service["Spec"].get("Labels") or {}
        stack = labels.get(docker.NAMESPACE)
        if stack and (stack not in found or service["Spec"]["Name"] == f"{stack}_app"):
            found[stack] = labels
    return found


def _row(app: App, labels: dict[str, str] | None, *, status: bool) -> dict[str, str]:
    row = {
        "server": app.server,
        "recipe": app.env.recipe,
        "appName": app.domain,
        "domain": app.env.values.get("DOMAIN", ""),
        "status": "",
        "chaos": "",
        "chaosVersion": "",
        "version": "",
        "upgrade": "",
    }
    if not status:
        return row
    deployed = labels is not None
    own = _own_labels(app.stack, labels or {})
    version = own.get("version", UNKNOWN)
    return {
        **row,
        "status": "deployed" if deployed else UNKNOWN,
        "chaos": own.get("chaos", "false") if deployed else UNKNOWN,
        "chaosVersion": own.get("chaos-version", UNKNOWN),
        "version": version,
        "upgrade": _newer_versions(app, version) if deployed else UNKNOWN,
    }


def _own_labels(stack: str, labels: dict[str, str]) -> dict[str, str]:
    prefix = f"coop-cloud.{stack}."
    return {key.removeprefix(prefix): v for key, v in labels.items() if key.startswith(prefix)}


def _newer_versions(app: App, version: str) -> str:
    if not versions.is_version(version) or not (app.checkout.path / ".git").exists():
        return UNKNOWN
    return "\n".join(reversed(versions.newer(app.checkout.tags(), version))) or "latest"


def services(app: App) -> dict[str, dict[str, str]]:
    """Return abra's object by service: its running container, or `unknown` without one."""
    own = _own_labels(app.stack, _labels_by_stack().get(app.stack, {}))
    running = {
        str(found["Labels"].get("com.docker.swarm.service.name")): found
        for found in docker.containers(app.stack)
    }
    rows = {}
    for service in docker.services(app.stack):
        full = str(service["Spec"]["Name"])
        name = full.removeprefix(f"{app.stack}_")
        rows[name] = _service_row(name, running.get(full), own)
    return dict(sorted(rows.items()))


def _service_row(
    name: str, container: dict[str, Any] | None, own: dict[str, str]
) -> dict[str, str]:
    return {
        "service": name,
        "image": str(container["Image"]) if container else UNKNOWN,
        "created": _age(float(container["Created"])) if container else UNKNOWN,
        "status": str(container["Status"]) if container else UNKNOWN,
        "state": str(container["State"]) if container else UNKNOWN,
        "ports": _ports(container) if container else UNKNOWN,
        "version": own.get("version", UNKNOWN),
        "chaos": own.get("chaos", "false"),
    }


def _age(created: float) -> str:
    seconds = max(0, int(time.time() - created))
    return f"{seconds} seconds ago" if seconds < 60 else f"{seconds // 60} minutes ago"


def _ports(container: dict[str, Any]) -> str:
    ports = container.get("Ports") or []
    return ", ".join(sorted(f"{port['PrivatePort']}/{port['Type']}" for port in ports))
