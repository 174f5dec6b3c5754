"""`app ls` and `app ps`, as tables or as abra's JSON."""

from __future__ import annotations

import time
from typing import Any

from sandbox.standins.abra.files import versions
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.tools import docker

UNKNOWN = "unknown"


def servers(apps: list[App], *, status: bool) -> dict[str, Any]:
    """Return abra's object by server; every value of an app is text.

    status: also look what is deployed.
    """
    labels = _labels() if status else {}
    found: dict[str, Any] = {}
    for app in apps:
        entry = found.setdefault(app.server, _empty())
        row = _row(app, labels.get(app.stack), status=status)
        entry["apps"].append(row)
        entry["appCount"] += 1
        if status and row["status"] == "deployed":
            entry["versionCount" if row["version"] != UNKNOWN else "unversionedCount"] += 1
            entry["latestCount" if row["upgrade"] == "latest" else "upgradeCount"] += 1
    return found


def _empty() -> dict[str, Any]:
    counts = ("appCount", "versionCount", "unversionedCount", "latestCount", "upgradeCount")
    return {"apps": [], **dict.fromkeys(counts, 0)}


def _labels() -> dict[str, dict[str, str]]:
    """Return the labels of each deployed stack, of its service `app` where there is one."""
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
    own = _own(app.stack, labels or {})
    version = own.get("version", UNKNOWN)
    return {
        **row,
        "status": "deployed" if deployed else UNKNOWN,
        "chaos": own.get("chaos", "false") if deployed else UNKNOWN,
        "chaosVersion": own.get("chaos-version", UNKNOWN),
        "version": version,
        "upgrade": _upgrades(app, version) if deployed else UNKNOWN,
    }


def _own(stack: str, labels: dict[str, str]) -> dict[str, str]:
    prefix = f"coop-cloud.{stack}."
    return {key.removeprefix(prefix): v for key, v in labels.items() if key.startswith(prefix)}


def _upgrades(app: App, version: str) -> str:
    if not versions.is_version(version) or not (app.checkout.path / ".git").exists():
        return UNKNOWN
    return "\n".join(reversed(versions.newer(app.checkout.tags(), version))) or "latest"


def services(app: App) -> dict[str, dict[str, str]]:
    """Return abra's object by service: its running container, `unknown` where there is none."""
    own = _own(app.stack, _labels().get(app.stack, {}))
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
        "created": _ago(float(container["Created"])) if container else UNKNOWN,
        "status": str(container["Status"]) if container else UNKNOWN,
        "state": str(container["State"]) if container else UNKNOWN,
        "ports": _ports(container) if container else UNKNOWN,
        "version": own.get("version", UNKNOWN),
        "chaos": own.get("chaos", "false"),
    }


def _ago(created: float) -> str:
    seconds = max(0, int(time.time() - created))
    return f"{seconds} seconds ago" if seconds < 60 else f"{seconds // 60} minutes ago"


def _ports(container: dict[str, Any]) -> str:
    ports = container.get("Ports") or []
    return ", ".join(sorted(f"{port['PrivatePort']}/{port['Type']}" for port in ports))


def table(rows: list[dict[str, str]]) -> str:
    """Return rows as a plain table, for people."""
    if not rows:
        return ""
    heads = list(rows[0])
    widths = [max(len(head), *(len(row[head]) for row in rows)) for head in heads]
    lines = [[head.upper() for head in heads], *([row[head] for head in heads] for row in rows)]
    return "\n".join(
        " │ ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    )
