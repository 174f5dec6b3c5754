"""Registry and janitor: which runs live, and what is reaped of dead ones; an engine in memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfraError, TimedOut
from harness.host import lock, orphans
from harness.host.lock import Owner
from harness.runs import janitor, registry
from harness.settings import Settings
from harness.swarm import remove
from tests.support.fake_docker import FakeDocker
from tests.support.lock_holder import Holder, below, me

DOMAIN, STACK = "aaaaaa-hello.ci.test", "aaaaaa-hello_ci_test"


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    return below(tmp_path)


@pytest.fixture
def live(here: Settings, tmp_path: Path) -> Iterator[Holder]:
    """A live run that holds the app of STACK."""
    holder = Holder(here, "app", DOMAIN, STACK, str(tmp_path / "runs" / "run-7"))
    assert holder.answer == "held"
    yield holder
    holder.kill()


def sweep(here: Settings, api: FakeDocker, **options: Any) -> janitor.Sweep:
    """Run the janitor once."""
    options.setdefault("finish", lambda folder: None)
    return janitor.sweep(here, api, own_run="run-8", progress=lambda line: None, **options)


def test_incident_c2_a_live_run_is_never_reaped(here: Settings, live: Holder) -> None:
    """C2: what a living run holds stays, however old it is."""
    api = FakeDocker()
    api.deploy(STACK, created="2020-01-01T00:00:00.0Z")
    before = api.names()
    assert sweep(here, api).removed == []
    assert api.names() == before


def test_a_dead_run_is_reaped_at_once(here: Settings, live: Holder, tmp_path: Path) -> None:
    """No age is waited for: the owner is gone, so its app goes, with every kind of object."""
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


def test_what_a_dead_run_started_is_ended_first(here: Settings, live: Holder) -> None:
    """A child that outlives its run is found by its environment, and does not see its app vanish."""
    orphan = Holder(here, "lock", str(here.lock_dir / "other"), run="run-7")
    alive: list[bool] = []

    class Watched(FakeDocker):
        def remove_service(self, name: str) -> None:
            """Remove a service, and look whether the child still runs."""
            alive.append(orphan.process.poll() is None)
            super().remove_service(name)

    api = Watched()
    api.deploy(STACK)
    live.kill()
    try:
        sweep(here, api)
        assert alive == [False]
    finally:
        orphan.kill()


def rewritten(path: Path, **changes: object) -> None:
    """Change what an entry says."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_pid_given_to_another_program_is_not_the_owner(here: Settings, live: Holder) -> None:
    """The process id lives, but it is not the process that wrote the entry."""
    live.kill()
    rewritten(here.active_dir / DOMAIN, pid=os.getpid(), started="1")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_an_entry_that_does_not_say_when_its_owner_started_is_nobody_s(
    here: Settings, live: Holder
) -> None:
    """A process that is gone has no start time either, which is no match."""
    live.kill()
    rewritten(here.active_dir / DOMAIN, started="")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_a_held_lock_is_proof_of_life_whatever_the_process_says(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner may be in another space of process ids; the kernel frees its lock when it dies."""
    monkeypatch.setattr(registry, "DEAD_LOCK_TIMEOUT", 0.05)
    folder = here.runs_dir / "run-7"
    for path in (here.active_dir / DOMAIN, folder / registry.RECORD):
        rewritten(path, pid=2**22, started="1")
    for entry in (*registry.entries(here), *registry.runs(here)):
        assert registry.owner_alive(here, entry) and registry.claim(here, entry) is None
    assert not registry.is_free(folder)


def test_a_process_that_runs_is_proof_of_life_whatever_became_of_its_lock(
    here: Settings, live: Holder, tmp_path: Path
) -> None:
    """Somebody may clear the lock files away: a lock on a new file of that name proves nothing."""
    for path in (*here.active_dir.glob(".*.lock"), *tmp_path.glob("runs/run-7/**/.*.lock")):
        path.unlink()
    (entry,) = registry.entries(here)
    assert registry.owner_alive(here, entry)
    assert not registry.is_free(tmp_path / "runs" / "run-7")
    assert sweep(here, FakeDocker()).removed == []


def test_an_entry_that_changed_hands_is_not_taken_for_the_old_one(
    here: Settings, live: Holder
) -> None:
    """Between the look at an entry and its lock its name may have gone to another run, which died too."""
    live.kill()
    (old,) = registry.entries(here)
    rewritten(here.active_dir / DOMAIN, run="run-9")
    assert registry.claim(here, old) is None


def test_a_name_is_not_given_away_while_its_last_owner_is_removed(
    here: Settings, live: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The janitor holds the entry meanwhile, or it would remove what the new owner makes."""
    monkeypatch.setattr(registry, "NAME_TIMEOUT", 0.05)
    words = {"stack": STACK, "run": "x", "recipe": "hello", "life": "fresh"}

    class Busy(FakeDocker):
        def remove_service(self, name: str) -> None:
            """Remove a service, while a new run asks for the name of its app."""
            with pytest.raises(InfraError, match="held by another run"):
                registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words)
            super().remove_service(name)

    api = Busy()
    api.deploy(STACK)
    live.kill()
    assert sweep(here, api).removed == [DOMAIN]
    registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words).close()


def test_a_lock_that_somebody_looks_at_is_taken_a_moment_later(
    here: Settings, live: Holder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only asks whether a lock is held has it meanwhile; neither janitor nor new run give up for that."""
    asked: set[Path] = set()
    take = lock.try_take

    def looked_at(path: Path, owner: Owner | None) -> Any:
        first = path.name == f".{DOMAIN}.lock" and path not in asked
        asked.add(path)
        return None if first else take(path, owner)

    live.kill()
    monkeypatch.setattr(lock, "try_take", looked_at)
    assert sweep(here, FakeDocker()).removed == [DOMAIN]
    asked.clear()
    words = {"stack": STACK, "run": "x", "recipe": "hello", "life": "fresh"}
    registry.register(here, domain=DOMAIN, run_dir=tmp_path / "x", **words).close()


def test_a_directory_that_a_living_run_has_is_refused(here: Settings, live: Holder) -> None:
    """Two runs of one id would write into one record."""
    with pytest.raises(InfraError, match="run 'run-7' is still running in"):
        registry.begin(here.runs_dir / "run-7", run="run-7", recipe="hello")


def test_two_sweeps_do_not_work_at_once(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits for the first, and does not wait for ever."""
    monkeypatch.setattr(janitor, "LOCK_TIMEOUT", 0.05)
    first = lock.try_take(here.lock_dir / "cc-ci-janitor.lock", me())
    assert first is not None
    with pytest.raises(TimedOut, match="another sweep"):
        sweep(here, FakeDocker())
    first.release()
    assert sweep(here, FakeDocker()).removed == []


def test_what_does_not_end_keeps_its_app_and_its_entry(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files and volumes are not taken away under it, and its name not given to others."""
    api = FakeDocker()
    api.deploy(STACK)
    before = api.names()
    live.kill()
    deaf = orphans.Process(2**22, "1", 1, 1)
    monkeypatch.setattr(orphans, "terminate", lambda folder, domains=(): [deaf])
    done = sweep(here, api)
    assert done.removed == [] and api.names() == before
    assert {item.kind for item in done.left} == {"process"}
    monkeypatch.undo()
    assert sweep(here, api).removed == [DOMAIN]


def test_an_entry_of_another_boot_is_dead(here: Settings, live: Holder) -> None:
    """After a reboot nothing of before is alive, whatever has its process id now."""
    live.kill()
    start = registry.start_time(os.getpid())
    rewritten(here.active_dir / DOMAIN, pid=os.getpid(), started=start, boot="other")
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_a_kept_app_stays_until_its_time_is_over(here: Settings, live: Holder) -> None:
    """`--keep` holds for two hours and not longer."""
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
@pytest.mark.parametrize(("age", "reaped"), [(7100.0, []), (7300.0, [STACK])])
def test_a_stack_nobody_knows_is_reaped_by_age_alone(
    here: Settings, age: float, reaped: list[str], made: str
) -> None:
    """Without an entry nobody can be asked, so only an old stack goes, in whatever zone the host is."""
    api = FakeDocker()
    api.deploy(STACK, created=made)
    created = 1_767_225_600.0  # that moment in unix seconds
    assert sweep(here, api, now=lambda: created + age).removed == reaped


@pytest.mark.parametrize("kind", ["service", "network", "volume", "secret", "config"])
def test_whatever_is_left_of_a_stack_nobody_knows_goes(here: Settings, kind: str) -> None:
    """A run that died in its teardown, and whose record is lost, may leave a single object."""
    api = FakeDocker()
    api.deploy(STACK, created="2026-01-01T00:00:00.0Z")
    for other in set(api.objects) - {kind}:
        api.objects[other].clear()
    later = 1_767_225_600.0 + 7300
    assert sweep(here, api, now=lambda: later).removed == [STACK]
    assert api.names() == set()


NOT_OURS = ["traefik", "backupbot", "cloud_example_org", "abcdef_x"]
NOT_OURS += [
    "zzzzzz-hello_ci_test",
    "abcde-hello_ci_test",
    "abcdef0-hello_ci_test",
]  # no hash of six
NOT_OURS += ["aaaaaa-hello_ci_tests", "aaaaaa-hello_ci-test", "aaaaaa-hello_ci_example_org"]
NOT_OURS += ["x-aaaaaa-hello_ci_test"]


@pytest.mark.parametrize("stack", NOT_OURS)
def test_what_is_not_ours_is_never_touched(here: Settings, stack: str) -> None:
    """Stacks without a name of ours stay, however old; a name that is nearly ours is somebody's."""
    api = FakeDocker()
    api.deploy(stack, created="2001-01-01T00:00:00.0Z")
    before = api.names()
    assert sweep(here, api).removed == []
    assert api.names() == before


def test_a_stack_nobody_knows_that_does_not_go_is_not_called_reaped(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stays of it is told instead."""
    monkeypatch.setattr(remove, "TIMEOUT", 0.2)
    stuck = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    stuck.deploy(STACK, created="2001-01-01T00:00:00.0Z")
    done = sweep(here, stuck)
    assert (done.removed, [item.name for item in done.left]) == ([], [f"{STACK}_content"])


def test_an_app_that_cannot_be_registered_is_none(here: Settings, tmp_path: Path) -> None:
    """A disk that takes no entry is our own trouble, and the name is free again."""
    run = tmp_path / "runs" / "run-8"
    run.mkdir()
    (run / registry.APPS).write_text("in the way")
    told = {"domain": DOMAIN, "stack": STACK, "run": "run-8", "recipe": "hello", "life": "fresh"}
    for _ in range(2):
        with pytest.raises(InfraError, match=f"cannot register '{DOMAIN}'"):
            registry.register(here, run_dir=run, **told)
    (run / registry.APPS).unlink()
    registry.register(here, run_dir=run, **told).close()


def test_a_failed_removal_keeps_its_entry_for_the_next_sweep(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be removed is told, and tried again by the next sweep."""
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


def test_one_domain_is_never_held_twice(here: Settings, live: Holder, tmp_path: Path) -> None:
    """A second run that would take the same name is refused."""
    with pytest.raises(InfraError, match="held by another run"):
        registry.register(
            here,
            domain=DOMAIN,
            stack=STACK,
            run="x",
            run_dir=tmp_path,
            recipe="hello",
            life="fresh",
        )


def test_one_that_is_only_waited_for_does_not_live(here: Settings, live: Holder) -> None:
    """Where nobody collects the dead, their process ids stay; an owner that is one of them is dead."""
    live.process.kill()  # and not waited for
    os.waitid(os.P_PID, live.process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{live.process.pid}/stat").exists()
    assert sweep(here, FakeDocker()).removed == [DOMAIN]


def test_a_run_that_died_before_it_had_an_app_is_reaped_too(here: Settings, tmp_path: Path) -> None:
    """Its record tells the janitor: processes are ended, the checkout goes, the report is written."""
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


def test_a_machine_s_registry_that_was_emptied_is_no_loss(here: Settings, live: Holder) -> None:
    """A reboot empties /run; the run's own directory still says which apps it had."""
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
    """The innocent run that sweeps goes on; the record stays for the next try."""
    live.kill()

    def full(folder: Path) -> None:
        raise OSError("no space left on device")

    assert sweep(here, FakeDocker(), finish=full).removed == [DOMAIN]
    assert [record.run for record in registry.runs(here)] == ["run-7"]
    sweep(here, FakeDocker())
    assert registry.runs(here) == []


def test_what_a_dead_app_left_is_not_taken_for_a_new_one(
    here: Settings, live: Holder, tmp_path: Path
) -> None:
    """A name whose last owner is dead and not removed yet is refused, with what helps."""
    live.kill()
    with pytest.raises(InfraError, match="left behind by run 'run-7'; `cc-ci janitor`"):
        registry.register(
            here,
            domain=DOMAIN,
            stack=STACK,
            run="x",
            run_dir=tmp_path / "runs" / "x",
            recipe="hello",
            life="fresh",
        )


def test_an_app_that_is_made_while_the_janitor_looks_is_nobody_s_leftover(
    here: Settings, tmp_path: Path
) -> None:
    """It has an entry by the time its stack is seen, even where no age protects it."""
    made: list[Holder] = []

    class Busy(FakeDocker):
        def services(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
            if not made:
                made.append(Holder(here, "app", DOMAIN, STACK, str(tmp_path / "runs" / "run-7")))
                self.deploy(STACK)
            return super().services(filters)

    api = Busy()
    try:
        assert sweep(replace(here, janitor_max_age=0.0), api).removed == []
        assert made[0].answer == "held" and api.names() != set()
    finally:
        for holder in made:
            holder.kill()


def test_the_same_number_of_another_drone_is_another_run(here: Settings, live: Holder) -> None:
    """Two Drones on one machine both have a build 7: the janitor of one ends nothing of the other's."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": "/elsewhere/run-7"})
    live.kill()
    try:
        assert sweep(here, FakeDocker()).removed == [DOMAIN]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
