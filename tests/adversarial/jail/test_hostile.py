"""A suite that destroys, fills, floods and never ends harms nobody but itself."""

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
from tests.adversarial.jail.jail_env import DOMAIN, Stranger, ended, nothing_left, processes_of

MIB = 1024 * 1024
HOLDER = """
import sys
from pathlib import Path
from harness.jail import jail
from harness.jail.command import Target
jail.run_tests(Path(sys.argv[1]), Target(sys.argv[2], ("127.0.0.1", 9)), seconds=300)
"""


def test_killing_everything_ends_itself_alone(stranger: Stranger) -> None:
    """Its parent, its first process and all that it may signal: we are still here to say so."""
    left = stranger.run(
        "import contextlib, os, signal\n"
        "def test_kill():\n"
        "    for pid in (1, -1, os.getppid(), *range(3, 5000), os.getpid()):\n"
        "        with contextlib.suppress(ProcessLookupError, PermissionError):\n"
        "            os.kill(pid, signal.SIGKILL)\n"
    )
    assert left.exit_code == 128 + signal.SIGKILL
    nothing_left()


def test_a_fork_bomb_stops_at_its_bound(stranger: Stranger) -> None:
    """It gets so many processes and no more, and none outlives it."""
    left = stranger.run(
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
    made = re.search(r"made (\d+) processes", left.output)
    assert made and int(made[1]) < command.LIMITS.processes, left.output
    nothing_left()


def test_of_long_results_the_beginning_is_read(stranger: Stranger) -> None:
    """What a stranger writes there is read into our memory, so it has a bound."""
    left = stranger.run(
        "def test_flood():\n"
        "    with open('/results', 'wb') as file:\n"
        f"        file.write(b'x' * {jail.MAX_RESULTS + 1})\n"
        "    import os; os._exit(0)\n"
    )
    assert len(left.results) == jail.MAX_RESULTS


def test_memory_is_bounded_for_all_its_processes_together(stranger: Stranger) -> None:
    """Eight processes that each take less than the bound are ended when their sum exceeds it."""
    left = stranger.run(
        "import os\n"
        "def test_take():\n"
        "    for _ in range(8):\n"
        "        if os.fork() == 0:\n"
        "            keep = bytearray(b'x') * (128 * 1024 * 1024)\n"
        "            os._exit(0 if keep else 1)\n"
        "    ends = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(8)]\n"
        "    assert 0, f'ends {ends}'\n"
    )
    assert "-9" in left.output.partition("ends [")[2] or left.exit_code == 128 + signal.SIGKILL, (
        left
    )
    nothing_left()


def test_what_it_writes_is_bounded(stranger: Stranger) -> None:
    """Its folder for files, its shared memory, and the one file of the host's that it may write."""
    left = stranger.run(
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
    found = re.search(r"AssertionError: filled (\d+) (\d+) (\d+)", left.output)
    assert found, left.output
    tmp, shm, results = (int(number) for number in found.groups())
    assert 0 < tmp <= command.MAX_TMP and 0 < shm <= command.MAX_SHM
    assert 0 < results <= command.MAX_FILE
    assert len(left.results) <= jail.MAX_RESULTS
    nothing_left()


def test_of_a_flood_of_words_the_last_are_kept(stranger: Stranger) -> None:
    """100 MB on both streams neither stop it nor fill our memory."""
    left = stranger.run(
        "import os, stat\n"
        "def flows_out(fd):\n"
        "    try:\n"
        "        return stat.S_ISFIFO(os.fstat(fd).st_mode)\n"
        "    except OSError:\n"
        "        return False\n"
        "for fd in filter(flows_out, range(20)):\n"
        "    with open(fd, 'wb', closefd=False) as stream:\n"
        "        for _ in range(50):\n"
        "            stream.write((b'x' * 1023 + b'\\n') * 1024)\n"
        "        stream.write(b'the last word\\n')\n"
        "os._exit(7)\n"
    )
    assert left.exit_code == 7
    assert len(left.output) <= 2 * jail.MAX_OUTPUT + 1
    assert left.output.count("the last word") == 2, "it did not find both streams"


def test_one_that_never_ends_is_ended(stranger: Stranger) -> None:
    """Its time is up, it ignores being told so, and is ended with all that it started."""
    begin = time.monotonic()
    left = stranger.run(
        "import os, signal, sys\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "os.fork()\n"
        "print('now I wait', file=sys.__stderr__, flush=True)\n"
        "while True:\n"
        "    signal.pause()\n",
        seconds=3.0,
    )
    assert left.exit_code is None
    assert time.monotonic() - begin < 30
    nothing_left()


def test_what_it_leaves_behind_ends_with_it(stranger: Stranger) -> None:
    """A process of another session, whose parent is gone, and which holds its output open."""
    left = stranger.run(
        "import os, signal\n"
        "def test_leave():\n"
        "    if os.fork() == 0:\n"
        "        os.setsid()\n"
        "        if os.fork() == 0:\n"
        "            signal.pause()\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
    )
    assert left.exit_code == 0, left.output
    nothing_left()


def test_it_dies_with_the_harness(tmp_path: Path) -> None:
    """After SIGKILL of the harness nothing of the jail lives, and the next jail clears its folder."""
    tests = Stranger(tmp_path, ("127.0.0.1", 9)).write("import signal\nsignal.pause()\n")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tests), DOMAIN],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    uid = jail.FIRST_UID + holder.pid
    try:
        _until_it_runs(uid)
    finally:
        holder.kill()
        holder.wait()
    ended(uid)
    jail.check()
    nothing_left(holder.pid)


def test_what_makes_the_jail_dies_with_the_harness_too(tmp_path: Path) -> None:
    """As long as the jail is being made it is root's, and no jail that would end it is there yet."""
    told = tmp_path / "told"
    maker = tmp_path / "way.py"
    maker.write_text(
        "import os, pathlib, signal\n"
        f"pathlib.Path({str(told)!r}).write_text(str(os.getpid()))\n"
        "while True:\n    signal.pause()\n"
    )
    tests = Stranger(tmp_path, ("127.0.0.1", 9)).write("")
    code = HOLDER.replace("jail.run_tests", f"jail.RELAY = Path({str(maker)!r})\njail.run_tests")
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tests), DOMAIN],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    try:
        pid = wait.until(
            lambda: wait.Look("", told.read_text() or None if told.exists() else None),
            what="the jail's maker",
            timeout=30,
            every=0.02,
        )
    finally:
        holder.kill()
        holder.wait()
    wait.until(
        lambda: wait.Look("", None if orphans.running(int(pid)) else True),
        what="the jail's maker to end",
        timeout=10,
        every=0.02,
    )
    jail.check()
    nothing_left(holder.pid)


def _until_it_runs(uid: int) -> None:
    def look() -> wait.Look[bool]:
        names = [_words(pid) for pid in processes_of(uid)]
        return wait.Look(str(names), True if any("pytest" in name for name in names) else None)

    wait.until(look, what="the suite to run", timeout=30, every=0.02)


def _words(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return "" if words[0] == b"bwrap" else b" ".join(words).decode()


def test_a_host_without_the_tool_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One sentence, with the package that brings it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        jail.why_unavailable()
        == "'bwrap' is missing; run `apt-get install bubblewrap`, or `make setup`"
    )
