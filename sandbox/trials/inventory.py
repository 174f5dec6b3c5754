"""Everything on the host that a run could leave behind, by kind and name; and gauges that grow with a leak.

All is read directly: Docker's objects, the product's folders, temporary files, and the processes that carry
the mark of a run (`CCCI_RUN` in their environment). Gauges are numbers of the engine and the kernel (/proc).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.host import paths, settings
from sandbox.host.daemon import start_time

ACTIVE = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running")
STACK_LABEL = "com.docker.stack.namespace"
Inventory = Mapping[str, frozenset[str]]


def take(api: Any, temporary: Path) -> Inventory:
    """Return what exists now: for each kind the names.

    Args:
        api: docker's low-level client.
        temporary: folder of the runs' temporary files.
    """
    networks = api.inspect_network(paths.PROXY_NETWORK, verbose=True)
    folders = {
        "lock": (settings.folder("CCCI_LOCK_DIR"), "cc-ci*"),
        "registry entry": (settings.folder("CCCI_ACTIVE_DIR"), "*"),
        "slot": (settings.folder("CCCI_SLOTS_DIR"), "*"),
        "temporary file": (temporary, "*"),
    }
    found = {
        "service": {s["Spec"]["Name"] for s in api.services()},
        "task": {_task(t) for t in api.tasks() if t["Status"]["State"] in ACTIVE},
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
        "process": set(_processes_of_runs()),
        **{
            kind: {path.name for path in folder.glob(pattern)}
            for kind, (folder, pattern) in folders.items()
        },
    }
    return {kind: frozenset(names) for kind, names in found.items()}


def _task(raw: Mapping[str, Any]) -> str:
    labels = raw["Spec"].get("ContainerSpec", {}).get("Labels") or {}
    return f"{labels.get(STACK_LABEL, '')} {raw['ID']}"


def _processes_of_runs() -> list[str]:
    """Return the processes that belong to a run or a build: pid, program, and their run's directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mark = re.search(rb"(?:^|\0)CCCI_RUN=([^\0]+)", (folder / "environ").read_bytes())
            if mark and int(folder.name) != os.getpid():
                program = (folder / "comm").read_text().strip()
                found.append(f"{folder.name} {program} of run {mark[1].decode(errors='replace')}")
    return found


def added(before: Inventory, after: Inventory) -> list[str]:
    """Return what exists now and did not before, as "kind name"."""
    return [
        f"{kind} '{name}'"
        for kind, names in after.items()
        for name in sorted(names - before.get(kind, frozenset()))
    ]


def active_apps() -> list[dict[str, Any]]:
    """Return the registry's entries whose run is still alive.

    An app's entry is in the machine's registry and in its run's directory. Its run counts as alive only if
    the process has the recorded boot and start time, since a pid can be given to another program.
    """
    folders = (settings.folder("CCCI_ACTIVE_DIR"), settings.folder("CCCI_RUNS_DIR"))
    files = [*folders[0].glob("[!.]*"), *folders[1].glob("*/apps/[!.]*")]
    entries = [entry for path in files if (entry := _entry(path))]
    return [entry for entry in entries if _owner_alive(entry)]


def _entry(path: Path) -> dict[str, Any] | None:
    try:
        entry = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return entry if isinstance(entry, dict) and entry.get("domain") else None


def _owner_alive(entry: Mapping[str, Any]) -> bool:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    started = start_time(int(entry["pid"]))
    return entry["boot"] == boot and started != "" and started == entry["started"]


def gauges(proc: Path = Path("/proc")) -> dict[str, float]:
    """Return numbers that grow where something leaks: dockerd's files and memory, sockets, processes, memory.

    Args:
        proc: where the kernel's process information is mounted.
    """
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
