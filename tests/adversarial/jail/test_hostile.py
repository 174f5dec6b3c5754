"""A suite that kills, fills, floods or never exits harms only itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.host import orphans, wait
from harness.jail import command, jail
from harness.settings import CHECKOUT
from tests.adversarial.jail.jail_env import (
    DOMAIN,
    UntrustedSuite,
    assert_nothing_left,
    await_exit,
    processes_of,
)

MIB = 1024 * 1024
HOLDER = """
import sys
from pathlib import Path
from harness.jail import jail
from harness.jail.command import Target
jail.run_tests(Path(sys.argv[1]), Target(sys.argv[2], ("127.0.0.1", 9)), seconds=300)
"""


def test_killing_every_process_kills_only_the_jail(suite: UntrustedSuite) -> None:
    result = suite.run(
        "import contextlib, os, signal\n"
        "def test_kill():\n"
        "    for pid in (1, -1, os.getppid(), *range(3, 5000), os.getpid()):\n"
        "        with contextlib.suppress(ProcessLookupError, PermissionError):\n"
        "            os.kill(pid, signal.SIGKILL)\n"
    )
    assert result.exit_code == 128 + signal.SIGKILL
    assert_nothing_left()


def test_a_fork_bomb_stops_at_the_limit(suite: UntrustedSuite) -> None:
    result = suite.run(
        "import os, signal\n"
        "def test_bomb():\n"
        "    made = 0\n"
        "    try:\n"
        "        while made < 5000:\n"
        "            if os.fork() == 0:\n"
        "                signal.pause()\n"
        "            made += 1\n"
        "    except BlockingIOError:\n"
        "        pass\n"
        "    assert 0, f'made {made} processes'\n"
    )
    made = re.search(r"made (\d+) processes", result.output)
    assert made and int(made[1]) < command.LIMITS.processes, result.output
    assert_nothing_left()


def test_only_the_beginning_of_long_results_is_read(suite: UntrustedSuite) -> None:
    """Results are read into the memory of the harness."""
    result = suite.run(
        "def test_flood():\n"
        "    with open('/results', 'wb') as file:\n"
        f"        file.write(b'x' * {jail.MAX_RESULTS + 1})\n"
        "    import os; os._exit(0)\n"
    )
    assert len(result.results) == jail.MAX_RESULTS


def test_memory_is_limited_for_all_processes_together(suite: UntrustedSuite) -> None:
    """Eight processes that are each below the limit are killed when their sum exceeds it."""
    result = suite.run(
        "import os\n"
        "def test_take():\n"
        "    for _ in range(8):\n"
        "        if os.fork() == 0:\n"
        "            keep = bytearray(b'x') * (128 * 1024 * 1024)\n"
        "            os._exit(0 if keep else 1)\n"
        "    ends = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(8)]\n"
        "    assert 0, f'ends {ends}'\n"
    )
    assert (
        "-9" in result.output.partition("ends [")[2] or result.exit_code == 128 + signal.SIGKILL
    ), result
    assert_nothing_left()


def test_written_bytes_are_limited(suite: UntrustedSuite) -> None:
    """In /tmp, in shared memory, and in the only file of the host that it may write."""
    result = suite.run(
        "def fill(path):\n"
        "    written = 0\n"
        "    try:\n"
        "        with open(path, 'wb', buffering=0) as file:\n"
        "            while written < 2**31:\n"
        "                written += file.write(b'x' * 2**20)\n"
        "    except OSError:\n"
        "        pass\n"
        "    return written\n"
        "def test_fill():\n"
        "    tmp = sum(fill(f'/tmp/{n}') for n in range(4))\n"
        "    shm = sum(fill(f'/dev/shm/{n}') for n in range(4))\n"
        "    assert 0, f'filled {tmp} {shm} {fill(\"/results\")}'\n"
    )
    found = re.search(r"AssertionError: filled (\d+) (\d+) (\d+)", result.output)
    assert found, result.output
    tmp, shm, results = (int(number) for number in found.groups())
    assert 0 < tmp <= command.MAX_TMP and 0 < shm <= command.MAX_SHM
    assert 0 < results <= command.MAX_FILE
    assert len(result.results) <= jail.MAX_RESULTS
    assert_nothing_left()


def test_the_end_of_a_flood_of_output_is_kept(suite: UntrustedSuite) -> None:
    """100 MB on both streams neither block it nor fill our memory."""
    result = suite.run(
        "import os, stat\n"
        "def is_pipe(fd):\n"
        "    try:\n"
        "        return stat.S_ISFIFO(os.fstat(fd).st_mode)\n"
        "    except OSError:\n"
        "        return False\n"
        "for fd in filter(is_pipe, range(20)):\n"
        "    with open(fd, 'wb', closefd=False) as stream:\n"
        "        for _ in range(50):\n"
        "            stream.write((b'x' * 1023 + b'\\n') * 1024)\n"
        "        stream.write(b'the last line\\n')\n"
        "os._exit(7)\n"
    )
    assert result.exit_code == 7
    assert len(result.output) <= 2 * jail.MAX_OUTPUT + 1
    assert result.output.count("the last line") == 2, "it did not find both streams"


def test_a_suite_that_never_exits_is_killed(suite: UntrustedSuite) -> None:
    """After its timeout, although it ignores signals, with everything that it started."""
    begin = time.monotonic()
    result = suite.run(
        "import os, signal, sys\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "os.fork()\n"
        "print('waiting', file=sys.__stderr__, flush=True)\n"
        "while True:\n"
        "    signal.pause()\n",
        seconds=3.0,
    )
    assert result.exit_code is None
    assert time.monotonic() - begin < 30
    assert_nothing_left()


def test_background_processes_are_killed_with_the_jail(suite: UntrustedSuite) -> None:
    """One in another session, without a parent, that keeps the output open."""
    result = suite.run(
        "import os, signal\n"
        "def test_background():\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            signal.pause()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    assert result.exit_code == 0, result.output
    assert_nothing_left()


def test_the_jail_dies_with_the_harness(tmp_path: Path) -> None:
    """After SIGKILL of the harness no process is left, and the next jail removes the folder."""
    tests = UntrustedSuite(tmp_path, ("127.0.0.1", 9)).write("import signal\nsignal.pause()\n")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tests), DOMAIN],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    uid = jail.FIRST_UID + holder.pid
    try:
        _await_suite(uid)
    finally:
        holder.kill()
        holder.wait()
    await_exit(uid)
    jail.check()
    assert_nothing_left(holder.pid)


def test_the_set_up_of_a_jail_dies_with_the_harness_too(tmp_path: Path) -> None:
    """During set-up its process is root's, and there is no jail yet that would kill it."""
    pid_file = tmp_path / "pid"
    script = tmp_path / "relay.py"
    script.write_text(
        "import os, pathlib, signal\n"
        f"pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()))\n"
        "while True:\n    signal.pause()\n"
    )
    tests = UntrustedSuite(tmp_path, ("127.0.0.1", 9)).write("")
    code = HOLDER.replace("jail.run_tests", f"jail.RELAY = Path({str(script)!r})\njail.run_tests")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tests), DOMAIN],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    try:
        pid = wait.until(
            lambda: wait.Look("", pid_file.read_text() or None if pid_file.exists() else None),
            what="the set-up script",
            timeout=30,
            every=0.02,
        )
    finally:
        holder.kill()
        holder.wait()
    wait.until(
        lambda: wait.Look("", None if orphans.running(int(pid)) else True),
        what="the set-up script to exit",
        timeout=10,
        every=0.02,
    )
    jail.check()
    assert_nothing_left(holder.pid)


def _await_suite(uid: int) -> None:
    def look() -> wait.Look[bool]:
        names = [_command_line(pid) for pid in processes_of(uid)]
        return wait.Look(str(names), True if any("pytest" in name for name in names) else None)

    wait.until(look, what="the suite to run", timeout=30, every=0.02)


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return "" if words[0] == b"bwrap" else b" ".join(words).decode()


def test_a_missing_tool_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        jail.why_unavailable()
        == "'bwrap' is missing; run `apt-get install bubblewrap`, or `make setup`"
    )
