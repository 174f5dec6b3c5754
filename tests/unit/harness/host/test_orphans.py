"""What a dead run left running: who counts to it, and its end; with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.host import orphans
from harness.host.orphans import Process
from harness.settings import CHECKOUT

DOMAIN = f"{os.getpid():06x}-hello.ci.test"
FOLDER = Path("/runs", str(os.getpid()))  # of this test alone: others may run beside it


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that bears no mark."""
    made = subprocess.Popen(["sleep", "600"])
    yield made
    made.kill()
    made.wait()


def seen(monkeypatch: pytest.MonkeyPatch, *looks: list[Process]) -> None:
    """Let the looks for a run's processes find these, one after the other, and then nothing."""
    left = list(looks)
    monkeypatch.setattr(orphans, "find", lambda folder, domains=(): left.pop(0) if left else [])


def process_of(started: subprocess.Popen[bytes]) -> Process:
    """Return a running process as the look for orphans would."""
    found = orphans.running(started.pid)
    assert found is not None
    return found


def test_an_orphan_s_children_end_with_it_whatever_they_dropped() -> None:
    """A child without the run's mark, in a session of its own, descends from a marked one all the same."""
    marked = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER)}
    inner = "env -i setsid sh -c 'echo $$; exec sleep 600'"
    words = ["sh", "-c", f"trap '' TERM; {inner} & wait"]
    parent = subprocess.Popen(words, env=marked, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        assert b"CCCI_RUN" not in Path(f"/proc/{child}/environ").read_bytes()
        assert orphans.terminate(FOLDER) == []
        assert orphans.running(child) is None and orphans.running(parent.pid) is None
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_only_what_bears_the_mark_is_ended() -> None:
    """A run whose directory begins the same, and the one that looks, are left alone."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": f"{FOLDER}-2"})
    try:
        assert orphans.find(FOLDER) == [] and orphans.terminate(FOLDER) == []
        assert orphans.running(other.pid) is not None
    finally:
        other.kill()
        other.wait()


def test_what_a_domain_s_command_runs_in_the_backup_bot_is_found() -> None:
    """The bot's container knows no run, but abra gives it the app's domain."""
    bot = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "SERVICE": DOMAIN})
    try:
        assert [process.pid for process in orphans.find(FOLDER, [DOMAIN])] == [bot.pid]
    finally:
        bot.kill()
        bot.wait()


def test_a_fork_that_one_look_missed_is_ended_too(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    """A child between two programs has no mark for a moment, so one empty look proves nothing."""
    seen(monkeypatch, [], [process_of(sleeper)])
    assert orphans.terminate(FOLDER) == []
    assert sleeper.wait(timeout=10) != 0


def test_another_program_that_got_the_id_meanwhile_is_not_ended(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    """Between the look and the signal the process may end and its id be given away."""
    found = process_of(sleeper)
    seen(monkeypatch, [Process(found.pid, "1", found.parent, found.session)])
    assert orphans.terminate(FOLDER) == []
    assert orphans.running(sleeper.pid) == found


def test_what_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody takes its locks or removes its app under it."""
    words = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]
    env = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER)}
    deaf = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, start_new_session=True)
    assert deaf.stdout is not None and deaf.stdout.readline() == b"ready\n"
    monkeypatch.setattr(orphans, "END_TIMEOUT", 0.1)
    monkeypatch.setattr(orphans, "KILL_DELAY", 60.0)
    try:
        assert deaf.pid in [process.pid for process in orphans.terminate(FOLDER)]
    finally:
        os.killpg(deaf.pid, 9)
        deaf.wait()
        deaf.stdout.close()


def test_what_stays_in_a_marked_one_s_session_ends_with_it() -> None:
    """Its parent is gone and its environment empty: that it never left the session tells whose it is."""
    words = ["sh", "-c", "env -i /bin/sh -c 'sleep 600 >&2 & echo $!'; exec sleep 600"]
    env = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER)}
    leader = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    child = int(leader.stdout.readline())
    try:
        assert orphans.terminate(FOLDER) == []
        assert orphans.running(child) is None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader.pid, 9)
        leader.wait()
        leader.stdout.close()


def test_whoever_ends_orphans_does_not_end_itself() -> None:
    """A run that was started by another run's child bears a mark too, and so does who started it."""
    code = "import sys; from pathlib import Path; from harness.host import orphans; "
    code += "orphans.terminate(Path(sys.argv[1]))"
    words = ["sh", "-c", '"$@"; echo "and goes on after $?"', "sh"]
    words += [sys.executable, "-c", code, str(FOLDER)]
    env = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "and goes on after 0\n", done.stderr
