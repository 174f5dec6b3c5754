"""Running commands, with real processes."""

import os
import select
import sys
from pathlib import Path

import pytest

from harness.errors import CommandFailed, TimedOut
from harness.host.proc import CommandTimedOut, run


def python(code: str) -> list[str]:
    """Return the command that runs a piece of Python."""
    return [sys.executable, "-c", code]


def test_both_streams_and_the_exit_code_are_returned() -> None:
    code = "import sys; print('o'); print('e', file=sys.stderr); sys.exit(3)"
    done = run(python(code), timeout=10, check=False)
    assert (done.out, done.err, done.exit_code) == ("o\n", "e\n", 3)


def test_a_failure_shows_both_streams() -> None:
    with pytest.raises(
        CommandFailed, match=r"exit code 3\n  stdout:\n    \(none\)\n  stderr:\n    why"
    ):
        run(
            python("import sys; sys.exit('why') if 0 else (sys.stderr.write('why'), sys.exit(3))"),
            timeout=10,
        )


def test_a_missing_program_gives_a_clear_error() -> None:
    with pytest.raises(CommandFailed, match="could not start '/nowhere/prog': No such file"):
        run(["/nowhere/prog"], timeout=10)


def test_keep_last_keeps_the_end_of_each_stream() -> None:
    code = "import sys; print('a' * 500_000 + 'end'); sys.stderr.write('b' * 500_000 + 'last')"
    done = run(python(code), timeout=20, keep_last=10)
    assert (done.out, done.err) == ("aaaaaaend\n", "bbbbbblast")


def test_output_before_a_timeout_is_kept() -> None:
    code = "import time; print('word ' * 1000, flush=True); time.sleep(60)"
    with pytest.raises(CommandTimedOut, match="timed out after") as caught:
        run(python(code), timeout=2.0)
    assert caught.value.output.count("word") == 1000


def test_a_timeout_kills_grandchildren_too(tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    child = (
        "import os, time, sys; open(sys.argv[1], 'w'); f = open(sys.argv[1], 'w'); time.sleep(60)"
    )
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}, {str(fifo)!r}])"
    )
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(TimedOut, match="timed out after"):
            run(python(code), timeout=1.5)
        ready, _, _ = select.select([reader], [], [], 10)
        assert ready, "the grandchild still has the pipe open"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


def test_terminal_gives_a_terminal_and_removes_control_codes() -> None:
    code = r"import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), '\x1b[31mred\x1b[0m')"
    assert run(python(code), timeout=10, terminal=True).out == "True True red\n"


def test_stdin_is_passed_to_the_command() -> None:
    done = run(python("print(input()[::-1])"), timeout=10, stdin=b"abc\n")
    assert done.out == "cba\n"


def test_a_background_child_with_the_output_open_is_not_waited_for() -> None:
    child = "import time; time.sleep(30)"
    code = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); print('x')"
    )
    done = run(python(code), timeout=10)
    assert done.out == "x\n" and done.seconds < 8


def test_env_is_the_complete_environment() -> None:
    done = run(python("import os; print(sorted(os.environ))"), timeout=10, env={"ONLY": "1"})
    assert "ONLY" in done.out and "HOME" not in done.out


def test_shown_replaces_the_arguments_in_messages() -> None:
    """For commands with a secret in their arguments."""
    with pytest.raises(CommandFailed) as caught:
        run(python("raise SystemExit(1)"), timeout=10, shown="a command")
    assert "raise" not in str(caught.value) and "'a command'" in str(caught.value)
