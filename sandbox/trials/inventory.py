"""Everything on the host that a run could leave behind, by kind and name; and gauges that could creep.

Names are those of Docker, of the folders under `/run`, of temporary files, and of processes that carry
a run's mark. Gauges are plain numbers of the engine and the kernel (/proc).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.settings import Settings

PROXY_NETWORK = "proxy"
LIVE = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")
Inventory = Mapping[str, frozenset[str]]


def take(settings: Settings, api: Any, temporary: Path) -> Inventory:
    """Return what exists now: for each kind the names. temporary: the folder of temporary files."""
    networks = api.inspect_network(PROXY_NETWORK, verbose=True)
    folders = {
        "lock": (settings.lock_dir, "cc-ci*"),
        "registry entry": (settings.active_dir, "*"),
        "slot": (settings.slots_dir, "*"),
        "temporary file": (temporary, "*"),
    }
    found = {
        "service": {s["Spec"]["Name"] for s in api.services()},
        "task": {_task(t) for t in api.tasks() if t["Status"]["State"] in LIVE},
        "container": {c["Names"][0].lstrip("/") for c in api.containers(all=True)},
        "network": {n["Name"] for n in api.networks()},
        "volume": {v["Name"] for v in api.volumes()["Volumes"] or []},
        "secret": {s["Spec"]["Name"] for s in api.secrets()},
        "config": {c["Spec"]["Name"] for c in api.configs()},
        "image": {i["Id"][7:19] for i in api.images(all=True)},
        "endpoint of the proxy network": {
            *(c["Name"] for c in (networks.get("Containers") or {}).values()),
            *(name for name in (networks.get("Services") or {}) if name),
        },
        "process": set(_marked()),
        **{
            kind: {path.name for path in place.glob(name)}
            for kind, (place, name) in folders.items()
        },
    }
    return {kind: frozenset(names) for kind, names in found.items()}


def _task(raw: Mapping[str, Any]) -> str:
    labels = raw["Spec"].get("ContainerSpec", {}).get("Labels") or {}
    return f"{labels.get('com.docker.stack.namespace', '')} {raw['ID']}"


def _marked() -> list[str]:
    """Return the processes that belong to a run or a build: number, program, and their run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mark = re.search(rb"(?:^|\0)CCCI_RUN=([^\0]+)", (folder / "environ").read_bytes())
            if mark and int(folder.name) != os.getpid():
                program = (folder / "comm").read_text().strip()
                found.append(f"{folder.name} {program} of run {mark[1].decode(errors='replace')}")
    return found


def added(before: Inventory, after: Inventory) -> list[str]:
    """Return what is there and was not, as "kind name"."""
    return [
        f"{kind} '{name}'"
        for kind, names in after.items()
        for name in sorted(names - before.get(kind, frozenset()))
    ]


def missing(before: Inventory, after: Inventory) -> list[str]:
    """Return what was there and is not, as "kind name"."""
    return added(after, before)


def gauges(proc: Path = Path("/proc")) -> dict[str, float]:
    """Return numbers that creep where something leaks: files and memory of the engine, sockets, memory."""
    found = {
        "open files of dockerd": 0.0,
        "memory of dockerd (MiB)": 0.0,
        "sockets": _number(proc / "net/sockstat", r"sockets: used (\d+)"),
        "processes": float(len(list(proc.glob("[0-9]*")))),
        "available memory (MiB)": round(_number(proc / "meminfo", r"MemAvailable:\s+(\d+)") / 1024),
    }
    for folder in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip() == "dockerd":
                found["open files of dockerd"] = float(len(list((folder / "fd").iterdir())))
                resident = _number(folder / "status", r"VmRSS:\s+(\d+)")
                found["memory of dockerd (MiB)"] = round(resident / 1024)
    return found


def _number(path: Path, pattern: str) -> float:
    match = re.search(pattern, path.read_text())
    return float(match[1]) if match else 0.0
