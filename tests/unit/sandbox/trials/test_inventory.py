"""What a soak compares: each kind of thing that a run could leave on the host, live apps, and gauges."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.runs import registry
from harness.settings import Settings
from sandbox.trials import inventory
from tests.support.fake_docker import FakeDocker
from tests.support.lock_holder import settings_below

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
        """Return a running task and a completed one."""
        spec = {"ContainerSpec": {"Labels": {"com.docker.stack.namespace": STACK}}}
        rows = [("t1", "running"), ("t2", "complete")] if self.full else []
        return [{"ID": n, "Spec": spec, "Status": {"State": state}} for n, state in rows]


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return what is new on a host on which one of each kind was left."""
    folder = tmp_path_factory.mktemp("host")
    here, engine, temporary = settings_below(folder), Host(), folder / "temporary"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        _use(here, patch)
        before = inventory.take(engine, temporary)
        engine.deploy(STACK)
        engine.full = True
        _leave(here, temporary)
        env = {"PATH": os.environ["PATH"], "CCCI_RUN": "/x/7"}
        left = subprocess.Popen(["sleep", "600"], env=env)
        try:
            return inventory.added(before, inventory.take(engine, temporary))
        finally:
            left.kill()
            left.wait()


def _use(here: Settings, patch: pytest.MonkeyPatch) -> None:
    """Let the environment name the folders of these settings."""
    for name in ("lock_dir", "active_dir", "slots_dir", "runs_dir"):
        patch.setenv(f"CCCI_{name.upper()}", str(getattr(here, name)))


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
def test_each_kind_of_leftover_is_listed_once(added: list[str], item: str) -> None:
    assert added.count(item) == 1


def test_a_leftover_process_is_listed_with_its_run(added: list[str]) -> None:
    """The mark in its environment names the run."""
    assert [item for item in added if "of run /x/7" in item and "sleep" in item]


def test_completed_tasks_are_not_leftovers(added: list[str]) -> None:
    """Swarm keeps the last tasks of a service as history."""
    assert not [item for item in added if "t2" in item or item.endswith("''")]


def test_only_names_that_were_not_there_before_are_added() -> None:
    before = {"volume": frozenset({"a", "b"})}
    after = {"volume": frozenset({"b", "c"}), "secret": frozenset({"s"})}
    assert inventory.added(before, after) == ["volume 'c'", "secret 's'"]


def test_an_app_is_active_while_its_run_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry's own entries: one of this process, one whose pid now belongs to another process."""
    here = settings_below(tmp_path)
    _use(here, monkeypatch)
    run_dir = here.runs_dir / "7"
    entry = registry.register(
        here,
        domain="a.ci.test",
        stack="a_ci_test",
        run="7",
        run_dir=run_dir,
        recipe="hello",
        life="fresh",
    )
    for path in (here.active_dir / "b.ci.test", here.runs_dir / "7" / "apps" / "b.ci.test"):
        written = json.loads((here.active_dir / "a.ci.test").read_text())
        path.write_text(json.dumps({**written, "domain": "b.ci.test", "started": "1"}))
    (here.active_dir / "unreadable").write_text("{")
    assert {app["domain"] for app in inventory.active_apps()} == {"a.ci.test"}
    registry.forget(here, entry)
    assert inventory.active_apps() == []


def test_gauges_are_read_from_the_kernel(tmp_path: Path) -> None:
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
