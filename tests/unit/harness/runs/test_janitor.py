"""The janitor with an in-memory Docker: what it removes, and what it leaves."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TimedOut
from harness.host import lock, orphans
from harness.host.lock import Owner
from harness.runs import janitor, registry
from harness.settings import Settings
from harness.swarm import remove
from tests.support.fake_docker import FakeDocker
from tests.support.lock_holder import Holder, me
from tests.unit.harness.runs.sweeps import DOMAIN, STACK, rewrite, sweep


def test_incident_c2_a_running_runs_app_is_never_removed(here: Settings, live: Holder) -> None:
    """C2: the janitor went by age and removed the app of a running run."""
    api = FakeDocker()
    api.deploy(STACK, created="2020-01-01T00:00:00.0Z")
    before = api.names()
    assert sweep(here, api).removed == []
    assert api.names() == before


def test_a_dead_runs_app_is_removed_immediately(
    here: Settings, live: Holder, tmp_path: Path
) -> None:
    """Whatever its age, with every kind of object."""
    env = tmp_path / "runs" / "run-7" / "abra" / "servers" / "default" / f"{DOMAIN}.env"
    env.parent.mkdir(parents=True)
    env.write_text("TYPE=hello\n")
    api = FakeDocker()
    api.deploy(STACK)
    finished: list[Path] = []
    live.kill()
    assert sweep(here, api, finish=finished.append).removed == [DOMAIN]
    assert api.names() == set() and not env.exists()
    assert registry.entries(here) == [] and list(here.active_dir.iterdir()) == []
    assert finished == [tmp_path / "runs" / "run-7"]


def test_processes_of_a_dead_run_are_ended_before_its_app_is_removed(
    here: Settings, live: Holder
) -> None:
    """A child process may outlive its run; it is found by its environment."""
    orphan = Holder(here, "lock", str(here.lock_dir / "other"), run="run-7")
    alive: list[bool] = []

    class WatchedDocker(FakeDocker):
        def remove_service(self, name: str) -> None:
            """Remove a service, and check whether the child process still runs."""
            alive.append(orphan.process.poll() is None)
            super().remove_service(name)

    api = WatchedDocker()
    api.deploy(STACK)
    live.kill()
    try:
        sweep(here, api)
        assert alive == [False]
    finally:
        orphan.kill()


def test_an_entry_that_was_rewritten_meanwhile_is_not_claimed(here: Settings, live: Holder) -> None:
    """Between reading an entry and locking it, its name may have passed to another run that died, too."""
    live.kill()
    (old,) = registry.entries(here)
    rewrite(here.active_dir / DOMAIN, run="run-9")
    assert registry.claim(here, old) is None


def test_a_lock_that_is_only_being_checked_is_taken_shortly_after(
    here: Settings, live: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check whether a lock is held takes it briefly; janitor and new runs must not give up for that."""
    checked: set[Path] = set()
    take = lock.try_take

    def checked_once(path: Path, owner: Owner | None) -> Any:
        first = path.name == f".{DOMAIN}.lock" and path not in checked
        checked.add(path)
        return None if first else take(path, owner)

    live.kill()
    monkeypatch.setattr(lock, "try_take", checked_once)
    assert sweep(here, FakeDocker()).removed == [DOMAIN]
    checked.clear()
    words = {"stack": STACK, "run": "x", "recipe": "hello", "life": "fresh"}
    registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words).close()


def test_two_sweeps_do_not_run_at_the_same_time(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "LOCK_TIMEOUT", 0.05)
    first = lock.try_take(here.lock_dir / "cc-ci-janitor.lock", me())
    assert first is not None
    with pytest.raises(TimedOut, match="another sweep"):
        sweep(here, FakeDocker())
    first.release()
    assert sweep(here, FakeDocker()).removed == []


def test_an_app_stays_registered_while_a_process_of_its_run_does_not_exit(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files and volumes are not removed under a running process."""
    api = FakeDocker()
    api.deploy(STACK)
    before = api.names()
    live.kill()
    stubborn = orphans.Process(2**22, "1", 1, 1)
    monkeypatch.setattr(orphans, "terminate", lambda folder, domains=(): [stubborn])
    done = sweep(here, api)
    assert done.removed == [] and api.names() == before
    assert {item.kind for item in done.left} == {"process"}
    monkeypatch.undo()
    assert sweep(here, api).removed == [DOMAIN]


def test_a_kept_app_stays_until_its_time_is_over(here: Settings, live: Holder) -> None:
    api = FakeDocker()
    api.deploy(STACK)
    live.kill()
    registry.keep(here, DOMAIN, until=time.time() + 60)
    first = sweep(here, api)
    assert (first.kept, first.removed) == ([DOMAIN], [])
    later = time.time() + 61
    assert sweep(here, api, now=lambda: later).removed == [DOMAIN]
    assert api.names() == set()


@pytest.mark.parametrize("made", ["2026-01-01T00:00:00.0Z", "2026-01-01T02:00:00+02:00"])
@pytest.mark.parametrize(("age", "removed"), [(7100.0, []), (7300.0, [STACK])])
def test_a_stack_without_an_entry_is_removed_by_age(
    here: Settings, age: float, removed: list[str], made: str
) -> None:
    """Docker's times may have any time zone."""
    api = FakeDocker()
    api.deploy(STACK, created=made)
    created = 1_767_225_600.0  # the same in unix seconds
    assert sweep(here, api, now=lambda: created + age).removed == removed


@pytest.mark.parametrize("kind", ["service", "network", "volume", "secret", "config"])
def test_a_single_object_of_a_stack_without_an_entry_is_removed(here: Settings, kind: str) -> None:
    """A run that died in its teardown, and whose entry is lost, may leave a single object."""
    api = FakeDocker()
    api.deploy(STACK, created="2026-01-01T00:00:00.0Z")
    for other in set(api.objects) - {kind}:
        api.objects[other].clear()
    later = 1_767_225_600.0 + 7300
    assert sweep(here, api, now=lambda: later).removed == [STACK]
    assert api.names() == set()


NOT_OURS = [
    *("traefik", "backupbot", "cloud_example_org", "abcdef_x"),
    # no six hex digits in front
    *(
        "zzzzzz-hello_ci_test",
        "abcde-hello_ci_test",
        "abcdef0-hello_ci_test",
        "x-aaaaaa-hello_ci_test",
    ),
    # another domain behind
    *("aaaaaa-hello_ci_tests", "aaaaaa-hello_ci-test", "aaaaaa-hello_ci_example_org"),
]


@pytest.mark.parametrize("stack", NOT_OURS)
def test_stacks_of_others_are_never_touched(here: Settings, stack: str) -> None:
    """However old, and also if the name is similar to ours."""
    api = FakeDocker()
    api.deploy(stack, created="2001-01-01T00:00:00.0Z")
    before = api.names()
    assert sweep(here, api).removed == []
    assert api.names() == before


def test_a_stack_that_cannot_be_removed_is_reported_as_left(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remove, "TIMEOUT", 0.2)
    stuck = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    stuck.deploy(STACK, created="2001-01-01T00:00:00.0Z")
    done = sweep(here, stuck)
    assert (done.removed, [item.name for item in done.left]) == ([], [f"{STACK}_content"])


def test_a_failed_removal_keeps_its_entry_for_the_next_sweep(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.kill()
    checkout = here.runs_dir / "run-7" / "abra"
    checkout.mkdir()
    monkeypatch.setattr(remove, "TIMEOUT", 0.2)
    stuck = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    stuck.deploy(STACK)
    done = sweep(here, stuck)
    assert [item.name for item in done.left] == [f"{STACK}_content"] and done.removed == []
    assert "could not remove volume" in str(done)
    assert [entry.domain for entry in registry.entries(here)] == [DOMAIN]
    assert [record.run for record in registry.runs(here)] == ["run-7"] and checkout.exists()
    assert sweep(here, FakeDocker()).removed == [DOMAIN]
    assert registry.runs(here) == [] and not checkout.exists()


def test_a_run_that_died_before_it_had_an_app_is_finalised(here: Settings, tmp_path: Path) -> None:
    """Its processes are ended, its checkout is removed and its report is written."""
    folder = tmp_path / "runs" / "run-7"
    holder = Holder(here, "run", "", "", str(folder))
    orphan = Holder(here, "lock", str(here.lock_dir / "other"), run="run-7")
    (folder / "abra" / "recipes").mkdir(parents=True)
    finished: list[Path] = []
    sweep(here, FakeDocker(), finish=finished.append)
    assert finished == [] and (folder / "abra").exists()
    holder.kill()
    try:
        sweep(here, FakeDocker(), finish=finished.append)
        assert orphan.process.wait(timeout=10) != 0
    finally:
        orphan.kill()
    assert finished == [folder]
    assert not (folder / "abra").exists() and registry.runs(here) == []


def test_apps_are_found_when_the_hosts_registry_was_emptied(here: Settings, live: Holder) -> None:
    """A reboot empties /run; the run's own directory still lists its apps."""
    api = FakeDocker()
    api.deploy(STACK)
    live.kill()
    for path in here.active_dir.iterdir():
        path.unlink()
    assert sweep(here, api).removed == [DOMAIN]
    assert api.names() == set()


def test_a_report_that_cannot_be_written_does_not_stop_the_sweep(
    here: Settings, live: Holder
) -> None:
    """The entry stays, and the next sweep tries again."""
    live.kill()

    def full(folder: Path) -> None:
        raise OSError("no space left on device")

    assert sweep(here, FakeDocker(), finish=full).removed == [DOMAIN]
    assert [record.run for record in registry.runs(here)] == ["run-7"]
    sweep(here, FakeDocker())
    assert registry.runs(here) == []


def test_an_app_that_is_created_during_a_sweep_is_not_removed(
    here: Settings, tmp_path: Path
) -> None:
    """Its entry exists before its stack, so it is known even if no age protects it."""
    made: list[Holder] = []

    class BusyDocker(FakeDocker):
        def services(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
            if not made:
                made.append(Holder(here, "app", DOMAIN, STACK, str(tmp_path / "runs" / "run-7")))
                self.deploy(STACK)
            return super().services(filters)

    api = BusyDocker()
    try:
        assert sweep(replace(here, janitor_max_age=0.0), api).removed == []
        assert made[0].answer == "held" and api.names() != set()
    finally:
        for holder in made:
            holder.kill()
