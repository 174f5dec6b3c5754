"""Signal handling, with real processes, signals and terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.settings import CHECKOUT

BEGIN = """
import os, signal, sys
from harness.host import proc, signals
def send(text):
    os.write(int(os.environ["LINES"]), (text + "\\n").encode())
def await_go():
    os.read(int(os.environ["GO"]), 1)
def hold():
    while True:
        signal.pause()
signals.arm(deadline=float(os.environ.get("DEADLINE", "60")))
signals.REPEAT_INTERVAL = 0.2
"""
TEARDOWN = """
try:
    {body}
except signals.Interrupted as error:
    signals.begin_teardown()
    send("teardown: " + str(error))
    await_go()
    {finish}
    send("torn down: " + signals.reason())
"""


class Guarded:
    """A Python process with armed signals; it sends lines and waits for `go`."""

    def __init__(self, code: str, *, terminal: bool = False, **env: str) -> None:
        out, lines = os.pipe()
        go, self._go = os.pipe()
        self._lines = os.fdopen(out, "r")
        self.master, slave = pty.openpty() if terminal else (-1, -1)
        self.process = subprocess.Popen(
            [*(["setsid", "-c"] if terminal else []), sys.executable, "-c", BEGIN + code],
            env={
                **os.environ,
                "PYTHONPATH": str(CHECKOUT),
                "LINES": f"{lines}",
                "GO": f"{go}",
                **env,
            },
            stdin=slave if terminal else subprocess.DEVNULL,
            stdout=slave if terminal else subprocess.PIPE,
            stderr=slave if terminal else subprocess.STDOUT,
            pass_fds=(lines, go),
        )
        for fd in (lines, go, *([slave] if terminal else [])):
            os.close(fd)

    def line(self) -> str:
        """Return the next line that it sent."""
        return self._lines.readline().strip()

    def signal(self, *signs: signal.Signals) -> None:
        """Send signals, one after the other."""
        for sign in signs:
            self.process.send_signal(sign)

    def go(self) -> None:
        """Let it continue with its teardown."""
        os.write(self._go, b".")

    def close(self) -> None:
        """Kill it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._lines.close()
        os.close(self._go)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def guarded() -> Iterator[Callable[..., Guarded]]:
    """Start processes with armed signals; kill them at the end."""
    made: list[Guarded] = []

    def start(body: str, *, finish: str = "pass", **options: Any) -> Guarded:
        made.append(Guarded(TEARDOWN.format(body=body, finish=finish), **options))
        return made[-1]

    yield start
    for each in made:
        each.close()


Start = Callable[..., Guarded]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_more_signals_do_not_break_a_teardown(guarded: Start, sign: signal.Signals) -> None:
    run = guarded("send('up'); hold()")
    assert run.line() == "up"
    run.signal(sign)
    assert run.line() == f"teardown: interrupted by {sign.name}"
    run.signal(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    run.go()
    assert run.line() == f"torn down: interrupted by {sign.name}"
    assert run.process.wait(10) == 0


def test_an_interrupt_that_a_suite_swallows_is_repeated(guarded: Start) -> None:
    """Code under test may catch everything; the run must stop nevertheless."""
    body = """
    while True:
        try:
            send('up')
            hold()
        except BaseException:
            send('swallowed')
            break
    hold()"""
    run = guarded(body)
    assert run.line() == "up"
    run.signal(signal.SIGTERM)
    assert run.line() == "swallowed"
    assert run.line() == "teardown: interrupted by SIGTERM"


def test_the_deadline_stops_a_run_that_swallows_it(guarded: Start) -> None:
    body = """
    try:
        hold()
    except BaseException:
        send('swallowed')
    hold()"""
    run = guarded(body, DEADLINE="0.2")
    assert run.line() == "swallowed"
    assert run.line().startswith("teardown: timeout: the run's own deadline")


def test_a_signal_while_a_process_starts_does_not_lose_it(guarded: Start, tmp_path: Path) -> None:
    """A command that was just forked is still terminated with its group."""
    body = """
    start = proc._start
    def slow(*given):
        made = start(*given)
        os.kill(os.getpid(), signal.SIGTERM)
        send(str(made[0].pid))
        return made
    proc._start = slow
    proc.run(['sleep', '60'], timeout=60)"""
    run = guarded(body)
    pid = int(run.line())
    assert run.line() == "teardown: interrupted by SIGTERM"
    assert not Path(f"/proc/{pid}").exists()


def test_a_signal_during_a_teardown_stops_the_session_after_it(guarded: Start) -> None:
    """After Ctrl-C during the teardown of the first run, the second one must not start."""
    body = """
    signals.begin_teardown()
    send('first')
    await_go()
    send('torn down')
    signals.end_teardown()
    send('second')"""
    run = guarded(body)
    assert run.line() == "first"
    run.signal(signal.SIGINT)
    run.go()
    assert run.line() == "torn down"
    assert run.line() == "teardown: interrupted by SIGINT"


def test_a_closed_terminal_does_not_break_the_teardown(guarded: Start) -> None:
    """What is printed then is discarded; writing would fail otherwise."""
    run = guarded("send('up'); hold()", finish="print('bye', flush=True)", terminal=True)
    assert run.line() == "up"
    os.close(run.master)
    assert run.line() == "teardown: interrupted by SIGHUP"
    run.go()
    assert run.line() == "torn down: interrupted by SIGHUP"
    assert run.process.wait(10) == 0


def test_a_closed_pipe_does_not_break_the_teardown(guarded: Start) -> None:
    """A runner that dies closes the pipe; what is printed then is discarded."""
    run = guarded("send('up'); hold()", finish="print('bye', flush=True)")
    assert run.line() == "up"
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.signal(signal.SIGTERM)
    assert run.line().startswith("teardown")
    run.go()
    assert run.line().startswith("torn down")
    assert run.process.wait(10) == 0


def test_a_controller_forwards_the_signal_and_keeps_running(guarded: Start) -> None:
    """If it exited, it would kill its workers in the middle of their teardown."""
    body = """
    signals.arm(deadline=1, pass_on=lambda sign, reason: send(f'{sign.name} {reason}'))
    send('up')
    hold()"""
    run = guarded(body)
    assert run.line() == "up"
    run.signal(signal.SIGINT)
    assert run.line() == "SIGTERM interrupted by SIGINT"
    run.signal(signal.SIGUSR1)
    assert run.line() == "SIGTERM interrupted by SIGINT"
    assert run.process.poll() is None


def test_a_worker_distinguishes_a_cancel_from_an_interrupt(guarded: Start) -> None:
    run = guarded("send('up'); hold()")
    assert run.line() == "up"
    run.signal(signal.SIGUSR1)
    assert run.line().startswith("teardown: cancelled")
