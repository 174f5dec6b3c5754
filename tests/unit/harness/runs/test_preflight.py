"""Checks of the host before anything is deployed; each missing thing has its own message."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException

from harness import settings
from harness.errors import InfraError
from harness.host import resources
from harness.host.resources import shortage
from harness.runs import preflight
from harness.settings import Settings
from harness.swarm import engine as swarm

MANAGER = {"LocalNodeState": "active", "ControlAvailable": True}
PROXY = {"Name": "proxy", "Scope": "swarm"}
FOLDERS = ("RUNS_DIR", "LOCK_DIR", "ACTIVE_DIR", "SLOTS_DIR")


def engine(*networks: dict[str, str], **state: object) -> Any:
    """Return an engine with this swarm state and these networks."""
    info = {"Swarm": {**MANAGER, **state}, "DockerRootDir": "/"}
    return SimpleNamespace(info=lambda: info, networks=lambda names: list(networks))


@pytest.fixture(autouse=True)
def plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let disk and memory suffice."""
    monkeypatch.setattr(resources, "shortage", lambda need: "")
    monkeypatch.setattr(resources, "memory_shortage", lambda: "")


def test_a_host_that_has_everything_is_accepted(here: Settings) -> None:
    preflight.check_host(here, engine(PROXY))


@pytest.mark.parametrize("state", [{"LocalNodeState": "inactive"}, {"ControlAvailable": False}])
def test_an_engine_that_is_not_a_swarm_manager_is_refused(
    here: Settings, state: dict[str, object]
) -> None:
    with pytest.raises(InfraError, match="not a swarm manager; run `docker swarm init`"):
        preflight.check_host(here, engine(PROXY, **state))


@pytest.mark.parametrize(
    "there", [{"Name": "proxy-2", "Scope": "swarm"}, {**PROXY, "Scope": "local"}]
)
def test_a_host_without_the_proxys_network_is_refused(
    here: Settings, there: dict[str, str]
) -> None:
    """Docker matches names by prefix, and a local network with that name reaches no service."""
    with pytest.raises(InfraError, match="no network 'proxy'; run `docker network create"):
        preflight.check_host(here, engine(there))


@pytest.mark.parametrize("name", ["runs", "active", "slots", "lock"])
def test_a_folder_that_cannot_be_written_is_refused(
    here: Settings, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    may, statvfs = os.access, os.statvfs
    read_only = SimpleNamespace(f_flag=os.ST_RDONLY)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: path != folder and may(path, mode))
        with pytest.raises(InfraError, match=f"no permission to write to '{folder}'"):
            preflight.check_host(here, engine(PROXY))
    with monkeypatch.context() as patch:
        patch.setattr(os, "statvfs", lambda path: read_only if path == folder else statvfs(path))
        with pytest.raises(InfraError, match=f"'{folder}' is mounted read-only"):
            preflight.check_host(here, engine(PROXY))
    folder.rmdir()
    folder.write_text("")
    with pytest.raises(InfraError, match=f"cannot create '{folder}'"):
        preflight.check_host(here, engine(PROXY))


def test_too_little_memory_is_refused_and_is_a_problem_of_the_host(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        resources, "memory_shortage", lambda: "only 9.0 MiB of memory are available"
    )
    monkeypatch.setattr(swarm, "client", lambda: engine(PROXY))
    with pytest.raises(InfraError, match=r"only 9\.0 MiB of memory are available; fix this"):
        preflight.check_host(here, engine(PROXY))
    assert preflight.host_problem(here) == "only 9.0 MiB of memory are available"


@pytest.mark.parametrize("error", [DockerException("gone"), InfraError("gone"), OSError("gone")])
def test_an_engine_that_does_not_answer_is_a_problem_of_the_host(
    here: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK, the socket and the harness raise different errors; none of them is the recipe's fault."""

    def away() -> Any:
        raise error

    monkeypatch.setattr(swarm, "client", lambda: SimpleNamespace(info=away))
    assert preflight.host_problem(here) == "Docker does not answer: gone"


def disk(free: int) -> SimpleNamespace:
    """Return a fake statvfs result with these free bytes and plenty of inodes."""
    return SimpleNamespace(
        f_bavail=free // 4096, f_frsize=4096, f_files=2_000_000, f_favail=1_000_000, f_flag=0
    )


@pytest.mark.parametrize("name", [*FOLDERS, "docker", "tmp"])
def test_every_folder_that_a_run_writes_to_is_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may be on a file system of its own; the message names the full one."""
    paths = {key: tmp_path / key for key in (*FOLDERS, "docker", "tmp")}
    for path in paths.values():
        path.mkdir()
    found = settings.load(
        {f"CCCI_{key}": str(paths[key]) for key in FOLDERS} | {"CCCI_SETTINGS": "/dev/null"}
    )
    full, empty = disk(free=0), disk(free=10 * resources.GIB)
    monkeypatch.setattr(resources, "shortage", shortage)  # the real one again
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(paths["tmp"]))
    monkeypatch.setattr(os, "statvfs", lambda path: full if Path(path) == paths[name] else empty)
    docker = SimpleNamespace(info=lambda: {"DockerRootDir": str(paths["docker"])})
    monkeypatch.setattr(swarm, "client", lambda: docker)
    with pytest.raises(InfraError, match=f"only 0.0 MiB are free in '{paths[name]}'"):
        preflight.check_resources(found)
    assert str(paths[name]) in preflight.host_problem(found)


def test_a_proxy_that_refuses_connections_is_a_problem_of_the_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swarm, "client", lambda: engine(PROXY))
    found = settings.load({"CCCI_PROXY": "127.0.0.1:1", "CCCI_SETTINGS": "/dev/null"})
    problem = preflight.host_problem(found)
    assert problem == "the proxy does not accept connections at 127.0.0.1:1: Connection refused"
