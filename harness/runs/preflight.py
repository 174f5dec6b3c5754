"""Checks before anything is deployed; each refusal is one sentence."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from harness import plan
from harness.errors import InfraError, UsageError
from harness.host import resources
from harness.host.resources import GIB, MIB, Need
from harness.naming import PROXY_NETWORK
from harness.recipe import git
from harness.settings import Settings
from harness.suites.strict_yaml import near
from harness.suites.suite import enrolled
from harness.swarm import engine

CONNECT_TIMEOUT = 5.0  # seconds for the proxy to accept a connection


def check_request(suites: Path, recipe: str, ref: str, stages: Collection[str]) -> None:
    """Check what was asked for: an enrolled recipe, a full sha, known stages.

    Args:
        suites: the folder of all suites.
        recipe: the recipe asked for, "" for all.
        ref: the commit asked for, "" for the head of the default branch.
        stages: the stages asked for; empty means all.

    Raises:
        UsageError: names what is wrong and what is allowed.
    """
    if recipe:
        known = enrolled(suites)
        if recipe not in known:
            raise UsageError(f"recipe '{recipe}' is not enrolled{near(recipe, known)}")
    if ref and not git.is_full_sha(ref):
        raise UsageError(f"REF is '{ref}', but must be a full commit sha (40 hex digits)")
    for stage in sorted(stages):
        if stage not in plan.STAGES:
            raise UsageError(f"unknown stage '{stage}'{near(stage, sorted(plan.STAGES))}")


def check_markers(expression: str) -> None:
    """Check the words of a marker expression; a misspelt one would select nothing.

    Args:
        expression: as given to pytest's `-m`.

    Raises:
        UsageError: a word is neither a stage nor a lane.
    """
    known = (*plan.STAGES, "cold", "quick")
    for word in re.findall(r"[A-Za-z_]\w*", expression):
        if word not in (*known, "and", "or", "not"):
            raise UsageError(f"unknown marker '{word}'{near(word, sorted(known))}")


def check_host(settings: Settings, api: Any = None) -> None:
    """Check the host: Docker, its swarm and the proxy network, disk space and memory.

    Raises:
        InfraError: names the first thing that is missing and how to fix it.
    """
    info = swarm_manager(api)
    _check_writable(settings)
    check_resources(settings, _docker_folder(info))


def check_resources(settings: Settings, docker_folder: str = "") -> None:
    """Check that disk and memory suffice for a deployment; cheap, so it is done before each one.

    Args:
        settings: the folders to check.
        docker_folder: where the engine keeps its data; "" asks the engine.

    Raises:
        InfraError: says what the host is short of, and where.
    """
    shortage = _shortage(settings, docker_folder or _docker_folder(engine.client().info()))
    if shortage:
        raise InfraError(f"{shortage}; fix this, then run again")


def host_problem(settings: Settings) -> str:
    """Return the host's current problem, "" if it has none.

    Used when a case has failed: if the host has a problem, the failure says nothing about the recipe.
    """
    try:
        folder = _docker_folder(engine.client().info())
    except (InfraError, DockerException, OSError) as error:
        return f"Docker does not answer: {error}"
    return _shortage(settings, folder) or _proxy_problem(settings)


def _shortage(settings: Settings, docker_folder: str) -> str:
    shortages = (resources.shortage(need) for need in _needs(settings, docker_folder))
    return next((text for text in shortages if text), "") or resources.memory_shortage()


def _needs(settings: Settings, docker_folder: str) -> tuple[Need, ...]:
    return (
        Need(Path(docker_folder), "Docker's data", 2 * GIB, 50_000),
        Need(settings.runs_dir, "the runs' directories", 64 * MIB, 2_000),
        Need(settings.lock_dir, "locks", MIB, 64),
        Need(settings.active_dir, "the registry of apps", MIB, 64),
        Need(settings.slots_dir, "slots", MIB, 64),
        Need(Path(tempfile.gettempdir()), "temporary files", MIB, 64),
    )


def _docker_folder(info: dict[str, Any]) -> str:
    return str(info.get("DockerRootDir") or "/")


def _proxy_problem(settings: Settings) -> str:
    try:
        with socket.create_connection(settings.proxy_address, timeout=CONNECT_TIMEOUT):
            return ""
    except OSError as error:
        return (
            f"the proxy does not accept connections at {settings.proxy}: {error.strerror or error}"
        )


def swarm_manager(api: Any = None) -> dict[str, Any]:
    """Return the engine's `docker info`, if it is a swarm manager with the proxy network.

    Raises:
        InfraError: it is not; says how to fix it.
    """
    api = api or engine.client()
    info: dict[str, Any] = api.info()
    state = info.get("Swarm", {})
    if state.get("LocalNodeState") != "active" or not state.get("ControlAvailable"):
        raise InfraError(
            "this Docker engine is not a swarm manager; run `docker swarm init`, or `make setup`"
        )
    names = [n["Name"] for n in api.networks(names=[PROXY_NETWORK]) if n.get("Scope") == "swarm"]
    if PROXY_NETWORK not in names:
        raise InfraError(
            "the swarm has no network 'proxy'; run `docker network create -d overlay --attachable "
            "--subnet 10.10.0.0/16 proxy`, or `make setup`"
        )
    return info


def _check_writable(settings: Settings) -> None:
    for folder in (settings.runs_dir, settings.active_dir, settings.slots_dir, settings.lock_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InfraError(f"cannot create '{folder}': {error.strerror}; run as root?") from error
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise InfraError(
                f"the file system of '{folder}' is mounted read-only; remount it read-write"
            )
        if not os.access(folder, os.W_OK):
            raise InfraError(
                f"no permission to write to '{folder}'; run as root, or set its CCCI_ variable"
            )
