"""What a soak compares: each kind of thing that a run could leave on the host, and gauges that creep."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.settings import Settings
from sandbox.trials import inventory
from tests.support.fake_docker import FakeDocker
from tests.support.lock_holder import below

STACK = "aaaaaa-hello_ci_test"


class Host(FakeDocker):
    """An engine in memory that also has images and a proxy network."""

    def __init__(self) -> None:
        super().__init__()
        self.full = False

    def inspect_network(self, name: str, verbose: bool) -> dict[str, Any]:
        """Return the endpoints of the proxy network: a container's and a service's."""
        assert (name, verbose) == ("proxy", True)
        if not self.full:
            return {"Containers": None, "Services": None}
        return {"Containers": {"e1": {"Name": "end.1"}}, "Services": {"end": {}, "": {}}}

    def images(self, all: bool) -> list[dict[str, Any]]:
        """Return the images."""
        return [{"Id": "sha256:0123456789abcdef"}] if self.full else []

    def tasks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Return one task that runs and one that has ended."""
        spec = {"ContainerSpec": {"Labels": {"com.docker.stack.namespace": STACK}}}
        rows = [("t1", "running"), ("t2", "complete")] if self.full else []
        return [{"ID": n, "Spec": spec, "Status": {"State": state}} for n, state in rows]


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is told of a host on which one of each kind was left."""
    folder = tmp_path_factory.mktemp("host")
    here, engine, temporary = below(folder), Host(), folder / "temporary"
    temporary.mkdir()
    before = inventory.take(here, engine, temporary)
    engine.deploy(STACK)
    engine.full = True
    _leave(here, temporary)
    left = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"], "CCCI_RUN": "/x/7"})
    try:
        return inventory.added(before, inventory.take(here, engine, temporary))
    finally:
        left.kill()
        left.wait()


def _leave(here: Settings, temporary: Path) -> None:
    for path in (
        here.lock_dir / "cc-ci-x.lock",
        here.active_dir / "app",
        here.slots_dir / "slot-3",
    ):
        path.touch()
    (temporary / "tmp1").touch()


@pytest.mark.parametrize(
    "item",
    [
        *(f"service '{STACK}_app'", f"container '{STACK}_app.1.x'", f"network '{STACK}_internal'"),
        *(
            f"volume '{STACK}_content'",
            f"secret '{STACK}_password_v1'",
            f"config '{STACK}_conf_v1'",
        ),
        *(f"task '{STACK} t1'", "image '0123456789ab'", "temporary file 'tmp1'"),
        *("endpoint of the proxy network 'end.1'", "endpoint of the proxy network 'end'"),
        *("lock 'cc-ci-x.lock'", "registry entry 'app'", "slot 'slot-3'"),
    ],
)
def test_each_kind_of_thing_that_was_left_is_told(added: list[str], item: str) -> None:
    """By its kind and its name, once."""
    assert added.count(item) == 1


def test_a_process_that_was_left_is_told_with_its_run(added: list[str]) -> None:
    """By the mark in its environment."""
    assert [item for item in added if "of run /x/7" in item and "sleep" in item]


def test_what_has_ended_is_nothing_that_was_left(added: list[str]) -> None:
    """Swarm keeps the last tasks of a service to tell of them."""
    assert not [item for item in added if "t2" in item or item.endswith("''")]


def test_gauges_are_read_from_the_kernel(tmp_path: Path) -> None:
    """Of the engine its open files and memory; of the host sockets, processes and memory."""
    for pid, name in (("7", "dockerd"), ("8", "sh")):
        (tmp_path / pid / "fd").mkdir(parents=True)
        (tmp_path / pid / "comm").write_text(f"{name}\n")
        (tmp_path / pid / "status").write_text("VmRSS:\t  204800 kB\n")
        for number in range(int(pid)):
            (tmp_path / pid / "fd" / str(number)).touch()
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "sockstat").write_text("sockets: used 301\n")
    (tmp_path / "meminfo").write_text("MemAvailable:   1048576 kB\n")
    assert inventory.gauges(tmp_path) == {
        "open files of dockerd": 7.0,
        "memory of dockerd (MiB)": 200.0,
        "sockets": 301.0,
        "processes": 2.0,
        "available memory (MiB)": 1024.0,
    }
