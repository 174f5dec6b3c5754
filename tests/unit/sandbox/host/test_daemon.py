"""The sandbox's daemons: found again, stopped with their descendants, and no other program is stopped."""

from __future__ import annotations

import os
from pathlib import Path

from sandbox.host.daemon import Daemon
from tests.support.poll import is_alive, until

ENV = {"PATH": os.environ["PATH"]}


def test_a_child_that_outlives_its_daemon_is_stopped(tmp_path: Path) -> None:
    daemon = Daemon("one", tmp_path)
    daemon.start(["sh", "-c", "sleep 60 & sleep 0.1"], ENV)
    until("its end", lambda: daemon.pid() is None)
    (child,) = daemon.descendants()
    daemon.stop()
    until("the child's end", lambda: not is_alive(child))
    assert daemon.descendants() == []


def test_terminate_gives_daemon_and_child_time_to_clean_up(tmp_path: Path) -> None:
    child = "trap 'touch cleaned; exit' TERM; touch ready; while :; do sleep 0.02; done"
    daemon = Daemon("two", tmp_path)
    daemon.start(["sh", "-c", f'trap : TERM; sh -c "{child}" & wait; wait'], ENV)
    until("its start", (tmp_path / "ready").exists)
    assert daemon.terminate(10)
    assert (tmp_path / "cleaned").exists()
    assert (daemon.pid(), daemon.descendants()) == (None, [])


def test_terminate_returns_false_if_a_process_keeps_running(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is waited for only until the timeout; `stop` kills it."""
    daemon = Daemon("three", tmp_path)
    daemon.start(["sh", "-c", "trap '' TERM; touch ready; while :; do sleep 0.02; done"], ENV)
    until("its start", (tmp_path / "ready").exists)
    assert not daemon.terminate(0.2)
    daemon.stop(grace=0.1)
    assert daemon.pid() is None


def test_another_program_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    """After a reboot a recorded pid can belong to any program: the start time differs."""
    daemon = Daemon("four", tmp_path)
    (tmp_path / "four.pid").write_text(f"{os.getpid()} 1\n")
    assert (daemon.pid(), daemon.descendants()) == (None, [])
    daemon.stop()
    assert not (tmp_path / "four.pid").exists()
