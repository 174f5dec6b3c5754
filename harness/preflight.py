"""What must hold before anything is deployed; each refusal is one sentence."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection
from typing import Any

from harness import collect, plan, swarm
from harness.errors import InfraError, UsageError
from harness.settings import Settings

FULL_SHA = re.compile(r"[0-9a-f]{40}")
LEAST_BYTES = 2 * 1024**3
LEAST_INODES = 50_000
PROXY_NETWORK = "proxy"


def asked(settings: Settings, recipe: str, ref: str, stages: Collection[str]) -> None:
    """Check what was asked for: an enrolled recipe, a full sha, known stages.

    Raises:
        UsageError: says what is known instead.
    """
    if recipe:
        known = collect.enrolled(settings.suites_dir)
        if recipe not in known:
            raise UsageError(f"recipe '{recipe}' is not enrolled{_near(recipe, known)}")
    if ref and not FULL_SHA.fullmatch(ref):
        raise UsageError(f"REF is '{ref}', but must be a full commit sha (40 hex digits)")
    for stage in sorted(stages):
        if stage not in plan.STAGES:
            raise UsageError(f"there is no stage '{stage}'{_near(stage, plan.STAGES)}")


def markers(expression: str) -> None:
    """Check the words of a marker expression; a misspelt one would select nothing.

    Raises:
        UsageError: a word is neither a stage nor a lane.
    """
    known = (*plan.STAGES, "cold", "quick")
    for word in re.findall(r"[A-Za-z_]\w*", expression):
        if word not in (*known, "and", "or", "not"):
            raise UsageError(f"there is no marker '{word}'{_near(word, known)}")


def _near(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(sorted(known))}"


def host(settings: Settings, api: Any = None) -> None:
    """Check the host: Docker answers, is a swarm manager, has the proxy network and room.

    Raises:
        InfraError: the first thing missing, with what fixes it.
    """
    info = swarm_manager(api)
    _writable(settings)
    _room(str(info.get("DockerRootDir") or "/"), os.statvfs)


def swarm_manager(api: Any = None) -> dict[str, Any]:
    """Return what Docker says of itself, if it is a swarm manager with the proxy network.

    Raises:
        InfraError: it is not, with what fixes it.
    """
    api = api or swarm.client()
    info: dict[str, Any] = api.info()
    state = info.get("Swarm", {})
    if state.get("LocalNodeState") != "active" or not state.get("ControlAvailable"):
        raise InfraError(
            "this Docker engine is no swarm manager; run `docker swarm init`, or `make setup`"
        )
    names = [n["Name"] for n in api.networks(names=[PROXY_NETWORK]) if n.get("Scope") == "swarm"]
    if PROXY_NETWORK not in names:
        raise InfraError(
            "the swarm has no network 'proxy'; run `docker network create -d overlay --attachable "
            "--subnet 10.10.0.0/16 proxy`, or `make setup`"
        )
    return info


def _writable(settings: Settings) -> None:
    for folder in (settings.runs_dir, settings.active_dir, settings.slots_dir, settings.lock_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfraError(f"cannot make '{folder}': {error.strerror}; run as root?") from error
        if not os.access(folder, os.W_OK):
            raise InfraError(f"may not write to '{folder}'; run as root, or set its CCCI_ variable")


def _room(folder: str, statvfs: Any) -> None:
    try:
        found = statvfs(folder)
    except OSError:
        return  # another user's view of Docker's folder; the engine itself will say when it is full
    free = found.f_bavail * found.f_frsize
    if free < LEAST_BYTES:
        raise InfraError(f"only {free / 1024**3:.1f} GiB are free in '{folder}'; 2 GiB are needed")
    if found.f_files and found.f_favail < LEAST_INODES:
        raise InfraError(f"only {found.f_favail} inodes are free in '{folder}'; 50000 are needed")
