"""Locks, slots, registry, removal and the janitor: real processes and flocks, an engine in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import janitor, lock, orphans, registry, remove, settings, slots
from harness.errors import InfraError, TimedOut
from harness.lock import Owner
from harness.settings import CHECKOUT, Settings
from tests.unit.fake_docker import FakeDocker

DOMAIN, STACK = "aaaaaa-hello.ci.test", "aaaaaa-hello_ci_test"
HOLD = """
import sys
from pathlib import Path
from harness import lock, registry, settings
import os
found = settings.load(os.environ)
what = sys.argv[1]
if what == "lock":
    held = lock.try_take(Path(sys.argv[2]), lock.Owner.me(run="run-7", recipe="hello"))
else:
    folder = Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    record = registry.begin(folder, run="run-7", recipe="hello")
    held = what == "run" or registry.register(
        found, domain=sys.argv[2], stack=sys.argv[3], run="run-7",
        run_dir=folder, recipe="hello", life="fresh")
print("held" if held else "refused", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    folders = {
        "CCCI_LOCK_DIR": "lock",
        "CCCI_ACTIVE_DIR": "active",
        "CCCI_SLOTS_DIR": "slots",
        "CCCI_RUNS_DIR": "runs",
    }
    for name in folders.values():
        (tmp_path / name).mkdir()
    return settings.load({key: str(tmp_path / name) for key, name in folders.items()})


class Holder:
    """Another process that holds something until it is killed."""

    def __init__(self, here: Settings, *words: str, run: str = "") -> None:
        env = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "CCCI_ACTIVE_DIR": str(here.active_dir),
            "CCCI_RUN": orphans.mark(here.runs_dir / run) if run else "",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *words],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def live(here: Settings, tmp_path: Path) -> Iterator[Holder]:
    """A live run that holds the app of STACK."""
    holder = Holder(here, "app", DOMAIN, STACK, str(tmp_path / "runs" / "run-7"))
    assert holder.said == "held"
    yield holder
    holder.kill()


def me() -> Owner:
    """Return this process as an owner."""
    return Owner.me(run="run-8", recipe="hello")


def sweep(here: Settings, api: FakeDocker, **options: Any) -> janitor.Sweep:
    """Run the janitor once."""
    options.setdefault("finish", lambda folder: None)
    return janitor.sweep(here, api, own_run="run-8", report=lambda line: None, **options)


def test_the_kernel_frees_a_lock_when_its_holder_is_killed(here: Settings) -> None:
    """No death leaves a lock behind."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert holder.said == "held" and lock.try_take(path, me()) is None
    finally:
        holder.kill()
    taken = lock.try_take(path, me())
    assert taken is not None
    taken.release()


def test_who_waits_is_told_for_whom(here: Settings) -> None:
    """The message names the run and the process that hold the lock."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    said: list[str] = []
    try:
        waiting = lock.take(path, me(), what="the lock", timeout=0.3, report=said.append)
        with pytest.raises(TimedOut, match="the lock"), waiting:
            pytest.fail("two hold one lock")
    finally:
        holder.kill()
    assert f"held by run run-7 of hello (process {holder.process.pid}" in said[0]


def test_asking_whether_a_lock_is_held_does_not_erase_who_holds_it(here: Settings) -> None:
    """Older filelock emptied the file of whoever merely tried; the pin holds."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert lock.is_held(path)
        written = lock.written_owner(path)
        assert written is not None and written.run == "run-7"
    finally:
        holder.kill()


def test_a_deleted_lock_file_protects_nobody(here: Settings) -> None:
    """A lock on a file that the path no longer names does not count as taken."""
    path = lock.recipe_lock(here, "hello")
    first = lock.try_take(path, me())
    assert first is not None
    path.unlink()
    second = lock.try_take(path, me())
    assert second is not None
    second.release()
    first.release()


def test_there_are_two_slots_and_no_third(here: Settings) -> None:
    """However runs are started, two at once is the most."""
    say = lambda line: None  # noqa: E731
    with (
        slots.take_slot(here, me(), timeout=1, report=say) as one,
        slots.take_slot(here, me(), timeout=1, report=say) as two,
    ):
        assert one != two
        third = slots.take_slot(here, me(), timeout=0.3, report=say)
        with pytest.raises(TimedOut, match="a slot"), third:
            pytest.fail("a third slot")


def test_incident_c2_a_live_run_is_never_reaped(here: Settings, live: Holder) -> None:
    """C2: what a living run holds stays, however old it is."""
    api = FakeDocker()
    api.deploy(STACK, created="2020-01-01T00:00:00.0Z")
    before = api.names()
    assert sweep(here, api).reaped == []
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
    assert sweep(here, api, finish=finished.append).reaped == [DOMAIN]
    assert api.names() == set() and not env.exists()
    assert registry.entries(here) == []
    assert finished == [tmp_path / "runs" / "run-7"]


def test_what_a_dead_run_started_is_ended_first(here: Settings, live: Holder) -> None:
    """A child that outlives its run is found by the run's id in its environment."""
    orphan = Holder(here, "lock", str(here.lock_dir / "other"), run="run-7")
    live.kill()
    try:
        sweep(here, FakeDocker())
        assert orphan.process.wait(timeout=10) != 0
    finally:
        orphan.kill()


def test_a_pid_given_to_another_program_is_not_the_owner(here: Settings, live: Holder) -> None:
    """The process id lives, but it is not the process that wrote the entry."""
    live.kill()
    path = here.active_dir / DOMAIN
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "pid": os.getpid(), "started": "1"}))
    assert sweep(here, FakeDocker()).reaped == [DOMAIN]


def test_an_entry_of_another_boot_is_dead(here: Settings, live: Holder) -> None:
    """After a reboot nothing of before is alive, whatever has its process id now."""
    live.kill()
    path = here.active_dir / DOMAIN
    entry = json.loads(path.read_text())
    start = registry.start_time(os.getpid())
    path.write_text(json.dumps({**entry, "pid": os.getpid(), "started": start, "boot": "other"}))
    assert sweep(here, FakeDocker()).reaped == [DOMAIN]


def test_a_kept_app_stays_until_its_time_is_over(here: Settings, live: Holder) -> None:
    """`--keep` holds for two hours and not longer."""
    api = FakeDocker()
    api.deploy(STACK)
    live.kill()
    registry.keep(here, DOMAIN, until=time.time() + 60)
    first = sweep(here, api)
    assert (first.kept, first.reaped) == ([DOMAIN], [])
    later = time.time() + 61
    assert sweep(here, api, now=lambda: later).reaped == [DOMAIN]
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
    assert sweep(here, api, now=lambda: created + age).reaped == reaped


@pytest.mark.parametrize("kind", ["service", "network", "volume", "secret", "config"])
def test_whatever_is_left_of_a_stack_nobody_knows_goes(here: Settings, kind: str) -> None:
    """A run that died in its teardown, and whose record is lost, may leave a single object."""
    api = FakeDocker()
    api.deploy(STACK, created="2026-01-01T00:00:00.0Z")
    for other in set(api.objects) - {kind}:
        api.objects[other].clear()
    later = 1_767_225_600.0 + 7300
    assert sweep(here, api, now=lambda: later).reaped == [STACK]
    assert api.names() == set()


@pytest.mark.parametrize("stack", ["traefik", "backupbot", "cloud_example_org", "abcdef_x"])
def test_what_is_not_ours_is_never_touched(here: Settings, stack: str) -> None:
    """Stacks without a name of ours stay, however old."""
    api = FakeDocker()
    api.deploy(stack, created="2001-01-01T00:00:00.0Z")
    before = api.names()
    sweep(here, api)
    assert api.names() == before


def test_a_stack_whose_name_starts_the_same_is_not_touched() -> None:
    """Docker's name filters match prefixes; ours must not."""
    api = FakeDocker()
    api.deploy("aaaaaa-x_ci")
    api.deploy("aaaaaa-x_cib")
    assert remove.remove_stack(api, "aaaaaa-x_ci") == ()
    assert {name.lstrip("/").partition("_cib")[0] for name in api.names()} == {"aaaaaa-x"}


def test_incident_l1_what_does_not_go_is_named_with_the_reason() -> None:
    """L1: a removal that fails is reported, never swallowed."""
    api = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    api.deploy(STACK)
    (left,) = remove.remove_stack(api, STACK, timeout=0.2)
    assert (left.kind, left.name) == ("volume", f"{STACK}_content")
    assert "in use" in left.why


def test_a_failed_removal_keeps_its_entry_for_the_next_sweep(
    here: Settings, live: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be removed is told, and tried again by the next sweep."""
    live.kill()
    monkeypatch.setattr(remove, "TIMEOUT", 0.2)
    stuck = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    stuck.deploy(STACK)
    done = sweep(here, stuck)
    assert [item.name for item in done.left] == [f"{STACK}_content"] and done.reaped == []
    assert "could not remove volume" in str(done)
    assert [entry.domain for entry in registry.entries(here)] == [DOMAIN]
    assert sweep(here, FakeDocker()).reaped == [DOMAIN]


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


def test_secrets_are_kept_when_the_app_is_deployed_again() -> None:
    """A restore needs the secrets that the data was made with."""
    api = FakeDocker()
    api.deploy(STACK)
    assert remove.remove_stack(api, STACK, keep_secrets=True) == ()
    assert api.names() == {f"{STACK}_password_v1"}


def test_one_that_is_only_waited_for_does_not_live(here: Settings, live: Holder) -> None:
    """Where nobody collects the dead, their process ids stay; an owner that is one of them is dead."""
    live.process.kill()  # and not waited for
    os.waitid(os.P_PID, live.process.pid, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{live.process.pid}/stat").exists()
    assert sweep(here, FakeDocker()).reaped == [DOMAIN]


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
    assert sweep(here, api).reaped == [DOMAIN]
    assert api.names() == set()


def test_a_report_that_cannot_be_written_does_not_stop_the_sweep(
    here: Settings, live: Holder
) -> None:
    """The innocent run that sweeps goes on; the record stays for the next try."""
    live.kill()

    def full(folder: Path) -> None:
        raise OSError("no space left on device")

    assert sweep(here, FakeDocker(), finish=full).reaped == [DOMAIN]
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


def test_an_orphan_s_children_end_with_it_whatever_they_dropped() -> None:
    """A child without the run's mark, in a session of its own, descends from a marked one all the same."""
    marked = {"PATH": os.environ["PATH"], "CCCI_RUN": "/runs/orphans"}
    inner = "env -i setsid sh -c 'echo $$; exec sleep 600'"
    words = ["sh", "-c", f"trap '' TERM; {inner} & wait"]
    parent = subprocess.Popen(words, env=marked, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert b"CCCI_RUN" not in Path(f"/proc/{child}/environ").read_bytes()
        assert orphans.end(Path("/runs/orphans")) == []
        assert orphans.look_at(child) is None and orphans.look_at(parent.pid) is None
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


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
        assert sweep(replace(here, janitor_max_age=0.0), api).reaped == []
        assert made[0].said == "held" and api.names() != set()
    finally:
        for holder in made:
            holder.kill()


def test_only_what_bears_the_mark_is_ended() -> None:
    """A run whose directory begins the same, and the one that looks, are left alone."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": "/runs/orphans-2"})
    try:
        assert orphans.of(Path("/runs/orphans")) == [] and orphans.end(Path("/runs/orphans")) == []
        assert orphans.look_at(other.pid) is not None
    finally:
        other.kill()
        other.wait()


def test_what_a_domain_s_command_runs_in_the_backup_bot_is_found() -> None:
    """The bot's container knows no run, but abra gives it the app's domain."""
    bot = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "SERVICE": DOMAIN})
    try:
        assert [process.pid for process in orphans.of(Path("/runs/none"), [DOMAIN])] == [bot.pid]
    finally:
        bot.kill()
        bot.wait()


def test_the_same_number_of_another_drone_is_another_run(here: Settings, live: Holder) -> None:
    """Two Drones on one machine both have a build 7: the janitor of one ends nothing of the other's."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": "/elsewhere/run-7"})
    live.kill()
    try:
        assert sweep(here, FakeDocker()).reaped == [DOMAIN]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
