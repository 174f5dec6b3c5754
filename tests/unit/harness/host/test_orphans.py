"""Processes that a dead run left behind are found and stopped; with real processes."""

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
FOLDER = Path("/runs", str(os.getpid()))  # unique, since other tests may run at the same time


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process without a run's mark."""
    made = subprocess.Popen(["sleep", "600"])
    yield made
    made.kill()
    made.wait()


def find_returns(monkeypatch: pytest.MonkeyPatch, *looks: list[Process]) -> None:
    """Make `orphans.find` return these, one after the other, and then nothing."""
    results = list(looks)
    monkeypatch.setattr(
        orphans, "find", lambda folder, domains=(): results.pop(0) if results else []
    )


def process_of(started: subprocess.Popen[bytes]) -> Process:
    """Return a running process as `orphans.find` would."""
    found = orphans.running(started.pid)
    assert found is not None
    return found


def test_children_without_a_mark_are_stopped_with_their_parent() -> None:
    """A child may clear its environment and start a session of its own; it is still a descendant."""
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


def test_only_marked_processes_are_stopped() -> None:
    """A run whose directory has the same beginning is left alone, and so is the caller."""
    other = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "CCCI_RUN": f"{FOLDER}-2"})
    try:
        assert orphans.find(FOLDER) == [] and orphans.terminate(FOLDER) == []
        assert orphans.running(other.pid) is not None
    finally:
        other.kill()
        other.wait()


def test_commands_in_the_backup_bot_are_found_by_domain() -> None:
    """In the bot's container there is no run's mark, but abra sets the app's domain."""
    bot = subprocess.Popen(["sleep", "600"], env={"PATH": "/bin", "SERVICE": DOMAIN})
    try:
        assert [process.pid for process in orphans.find(FOLDER, [DOMAIN])] == [bot.pid]
    finally:
        bot.kill()
        bot.wait()


def test_a_process_missed_by_the_first_look_is_stopped_too(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    """A child has no mark between fork and exec, so one empty look proves nothing."""
    find_returns(monkeypatch, [], [process_of(sleeper)])
    assert orphans.terminate(FOLDER) == []
    assert sleeper.wait(timeout=10) != 0


def test_another_process_with_a_reused_id_is_not_stopped(
    monkeypatch: pytest.MonkeyPatch, sleeper: subprocess.Popen[bytes]
) -> None:
    """A process may exit, and its id be reused, between the look and the signal."""
    found = process_of(sleeper)
    find_returns(monkeypatch, [Process(found.pid, "1", found.parent, found.session)])
    assert orphans.terminate(FOLDER) == []
    assert orphans.running(sleeper.pid) == found


def test_processes_that_do_not_exit_are_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller must not take their locks or remove their apps."""
    words = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]
    env = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER)}
    stubborn = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, start_new_session=True)
    assert stubborn.stdout is not None and stubborn.stdout.readline() == b"ready\n"
    monkeypatch.setattr(orphans, "END_TIMEOUT", 0.1)
    monkeypatch.setattr(orphans, "KILL_DELAY", 60.0)
    try:
        assert stubborn.pid in [process.pid for process in orphans.terminate(FOLDER)]
    finally:
        os.killpg(stubborn.pid, 9)
        stubborn.wait()
        stubborn.stdout.close()


def test_processes_in_the_session_of_a_marked_process_are_stopped() -> None:
    """The parent is gone and the environment empty; only the session shows to which run it belongs."""
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


def test_the_caller_and_its_ancestors_are_not_stopped() -> None:
    """A run started by a child of another run has a mark too, and so has its parent."""
    code = "import sys; from pathlib import Path; from harness.host import orphans; "
    code += "orphans.terminate(Path(sys.argv[1]))"
    words = ["sh", "-c", '"$@"; echo "and goes on after $?"', "sh"]
    words += [sys.executable, "-c", code, str(FOLDER)]
    env = {"PATH": os.environ["PATH"], "CCCI_RUN": str(FOLDER), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "and goes on after 0\n", done.stderr
