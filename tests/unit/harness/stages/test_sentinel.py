"""The sentinel: a loss, a change and another app's sentinel are all noticed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness import settings
from harness.errors import RecipeFailure
from harness.stages import sentinel
from harness.suites.app import App
from harness.swarm import containers

MOUNTS = {"app": ("content", "/data"), "db": ("rows", "/var/lib/db")}


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], bytes]:
    """The files of an app in memory, by service and path."""
    made: dict[tuple[str, str], bytes] = {}

    def write(stack: str, service: str, path: str, data: bytes) -> None:
        made[service, path] = data

    monkeypatch.setattr(containers, "write", write)
    monkeypatch.setattr(containers, "read", lambda stack, service, path: made.get((service, path)))
    return made


def deployment(name: str = "a", **compose: object) -> Any:
    """Return the deployment of an app with two volumes and no backup."""
    app = App(f"{name}.ci.test", f"{name}_ci_test", "x", "fresh", settings.load({}))
    services = [
        SimpleNamespace(name=service, mounts=[SimpleNamespace(volume=volume, path=path)])
        for service, (volume, path) in MOUNTS.items()
    ]
    fields = {"services": services, "is_backup_capable": False, **compose}
    return SimpleNamespace(app=app, compose=SimpleNamespace(**fields))


def test_each_volume_gets_a_sentinel_of_its_own(files: dict[tuple[str, str], bytes]) -> None:
    """Contents differ, so that a volume that came back in another's place is noticed."""
    sentinel.plant(deployment())
    sentinel.verify(deployment())
    assert set(files) == {("app", "/data/.cc-ci-sentinel"), ("db", "/var/lib/db/.cc-ci-sentinel")}
    assert len(set(files.values())) == 2


@pytest.mark.parametrize("service", MOUNTS)
def test_a_sentinel_that_is_gone_or_changed_is_missed(
    files: dict[tuple[str, str], bytes], service: str
) -> None:
    """The volume is named; a truncated file is as bad as a missing one."""
    volume, path = MOUNTS[service]
    key = (service, f"{path}/.cc-ci-sentinel")
    sentinel.plant(deployment())
    files[key] = files[key][:-2]
    with pytest.raises(RecipeFailure, match=f"into volume '{volume}' has changed$"):
        sentinel.verify(deployment())
    del files[key]
    with pytest.raises(RecipeFailure, match=f"into volume '{volume}' is gone$"):
        sentinel.verify(deployment())


@pytest.mark.usefixtures("files")
def test_a_sentinel_of_another_app_does_not_count() -> None:
    """A snapshot of another app may have brought it."""
    sentinel.plant(deployment("other"))
    assert len(sentinel.lost(deployment())) == 2


def test_with_a_backup_only_volumes_that_it_takes_whole_get_a_sentinel() -> None:
    """From a volume of which the backup takes a dump, the sentinel would not come back."""
    whole = SimpleNamespace(service="app", volume="content", mount_path="/data", paths=None)
    dump = SimpleNamespace(service="db", volume="rows", mount_path="/d", paths=("dump.sql",))
    found = sentinel.mounts(deployment(is_backup_capable=True, covered=(whole, dump)))
    assert found == [sentinel.VolumeMount("app", "content", "/data")]
