"""The sandbox's programs: found again, ended with what they started, and nobody else ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sandbox.host import engine
from sandbox.host.daemon import Daemon
from tests.support.poll import living, until

ENV = {"PATH": os.environ["PATH"]}


def test_what_outlived_a_program_is_found_and_ended(tmp_path: Path) -> None:
    """A child that goes on after its program has ended is ended by `stop`."""
    daemon = Daemon("one", tmp_path)
    daemon.start(["sh", "-c", "sleep 60 & sleep 0.1"], ENV)
    until("its end", lambda: daemon.pid() is None)
    (child,) = daemon.descendants()
    daemon.stop()
    until("the child's end", lambda: not living(child))
    assert daemon.descendants() == []


def test_winding_down_lets_programs_clean_up(tmp_path: Path) -> None:
    """Program and child are asked to end, and both get the time for it."""
    child = "trap 'touch cleaned; exit' TERM; touch ready; while :; do sleep 0.02; done"
    daemon = Daemon("two", tmp_path)
    daemon.start(["sh", "-c", f'trap : TERM; sh -c "{child}" & wait; wait'], ENV)
    until("its start", (tmp_path / "ready").exists)
    assert daemon.terminate(10)
    assert (tmp_path / "cleaned").exists()
    assert (daemon.pid(), daemon.descendants()) == (None, [])


def test_winding_down_says_when_something_stays(tmp_path: Path) -> None:
    """A program that ignores being asked is not waited for longer than told; `stop` ends it."""
    daemon = Daemon("three", tmp_path)
    daemon.start(["sh", "-c", "trap '' TERM; touch ready; while :; do sleep 0.02; done"], ENV)
    until("its start", (tmp_path / "ready").exists)
    assert not daemon.terminate(0.2)
    daemon.stop(grace=0.1)
    assert daemon.pid() is None


def test_another_program_with_the_same_pid_is_left_alone(tmp_path: Path) -> None:
    """After a restart of the machine a recorded pid may be anybody's: its start time differs."""
    daemon = Daemon("four", tmp_path)
    (tmp_path / "four.pid").write_text(f"{os.getpid()} 1\n")
    assert (daemon.pid(), daemon.descendants()) == (None, [])
    daemon.stop()
    assert not (tmp_path / "four.pid").exists()


def test_an_engine_that_waits_to_be_collected_is_gone(tmp_path: Path) -> None:
    """Its pid file would keep a new engine from starting, although nothing runs any more."""
    program = tmp_path / "dockerd"
    shutil.copy("/bin/true", program)
    process = subprocess.Popen([program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    record = tmp_path / "docker.pid"
    record.write_text(str(process.pid))
    engine._remove_stale_pid_file(record)
    assert not record.exists()
    process.wait()
