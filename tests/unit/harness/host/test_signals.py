"""The guard of a run's lifetime: real processes, real signals, real terminals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.settings import CHECKOUT

BEGIN = """
import os, signal, sys
from harness.host import proc, signals
def say(text):
    os.write(int(os.environ["SAY"]), (text + "\\n").encode())
def ready():
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
    say("teardown: " + str(error))
    ready()
    {finish}
    say("torn down: " + signals.reason())
"""


class Guarded:
    """A Python process under the guard, with a line from it (3) and one to it (4)."""

    def __init__(self, code: str, *, terminal: bool = False, **env: str) -> None:
        out, said = os.pipe()
        go, self._go = os.pipe()
        self._lines = os.fdopen(out, "r")
        self.master, slave = pty.openpty() if terminal else (-1, -1)
        self.process = subprocess.Popen(
            [*(["setsid", "-c"] if terminal else []), sys.executable, "-c", BEGIN + code],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT), "SAY": f"{said}", "GO": f"{go}", **env},
            stdin=slave if terminal else subprocess.DEVNULL,
            stdout=slave if terminal else subprocess.PIPE,
            stderr=slave if terminal else subprocess.STDOUT,
            pass_fds=(said, go),
        )
        for fd in (said, go, *([slave] if terminal else [])):
            os.close(fd)

    def heard(self) -> str:
        """Return the next line it said."""
        return self._lines.readline().strip()

    def signal(self, *signs: signal.Signals) -> None:
        """Send it signals, one after the other."""
        for sign in signs:
            self.process.send_signal(sign)

    def let_go(self) -> None:
        """Let it go on with its teardown."""
        os.write(self._go, b".")

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._lines.close()
        os.close(self._go)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def guarded() -> Iterator[Callable[..., Guarded]]:
    """Start processes under the guard, and end them."""
    made: list[Guarded] = []

    def start(body: str, *, finish: str = "pass", **options: str | bool) -> Guarded:
        made.append(Guarded(TEARDOWN.format(body=body, finish=finish), **options))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


Start = Callable[..., Guarded]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_more_signals_do_not_break_a_teardown(guarded: Start, sign: signal.Signals) -> None:
    """The first signal begins the teardown; a second and a third change nothing."""
    run = guarded("say('up'); hold()")
    assert run.heard() == "up"
    run.signal(sign)
    assert run.heard() == f"teardown: interrupted by {sign.name}"
    run.signal(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    run.let_go()
    assert run.heard() == f"torn down: interrupted by {sign.name}"
    assert run.process.wait(10) == 0


def test_an_interrupt_that_a_suite_swallows_comes_again(guarded: Start) -> None:
    """Code under test may catch everything; the run ends all the same."""
    body = """
    while True:
        try:
            say('up')
            hold()
        except BaseException:
            say('swallowed')
            break
    hold()"""
    run = guarded(body)
    assert run.heard() == "up"
    run.signal(signal.SIGTERM)
    assert run.heard() == "swallowed"
    assert run.heard() == "teardown: interrupted by SIGTERM"


def test_the_deadline_ends_a_run_whatever_it_swallows(guarded: Start) -> None:
    """The run's own deadline comes again until the teardown has begun."""
    body = """
    try:
        hold()
    except BaseException:
        say('swallowed')
    hold()"""
    run = guarded(body, DEADLINE="0.2")
    assert run.heard() == "swallowed"
    assert run.heard().startswith("teardown: timeout: the run's own deadline")


def test_a_signal_while_a_process_starts_loses_no_process(guarded: Start, tmp_path: Path) -> None:
    """Between fork and the first look at it a command cannot get lost: it is ended with its group."""
    body = """
    start = proc._start
    def slow(*given):
        made = start(*given)
        os.kill(os.getpid(), signal.SIGTERM)
        say(str(made[0].pid))
        return made
    proc._start = slow
    proc.run(['sleep', '60'], timeout=60)"""
    run = guarded(body)
    pid = int(run.heard())
    assert run.heard() == "teardown: interrupted by SIGTERM"
    assert not Path(f"/proc/{pid}").exists()


def test_a_signal_during_the_teardown_of_one_run_ends_the_session_after_it(guarded: Start) -> None:
    """Who presses Ctrl-C while the first of two runs is torn down does not get the second."""
    body = """
    signals.begin_teardown()
    say('first')
    ready()
    say('torn down')
    signals.end_teardown()
    say('second')"""
    run = guarded(body)
    assert run.heard() == "first"
    run.signal(signal.SIGINT)
    run.let_go()
    assert run.heard() == "torn down"
    assert run.heard() == "teardown: interrupted by SIGINT"


def test_a_closed_terminal_does_not_break_the_teardown(guarded: Start) -> None:
    """When the terminal is gone, what is printed goes nowhere instead of failing."""
    run = guarded("say('up'); hold()", finish="print('bye', flush=True)", terminal=True)
    assert run.heard() == "up"
    os.close(run.master)
    assert run.heard() == "teardown: interrupted by SIGHUP"
    run.let_go()
    assert run.heard() == "torn down: interrupted by SIGHUP"
    assert run.process.wait(10) == 0


def test_a_reader_that_went_away_does_not_break_the_teardown(guarded: Start) -> None:
    """A runner that died closes the pipe; what is printed goes nowhere instead of failing."""
    run = guarded("say('up'); hold()", finish="print('bye', flush=True)")
    assert run.heard() == "up"
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.signal(signal.SIGTERM)
    assert run.heard().startswith("teardown")
    run.let_go()
    assert run.heard().startswith("torn down")
    assert run.process.wait(10) == 0


def test_a_controller_passes_the_signal_on_and_lives(guarded: Start) -> None:
    """A session with workers would kill them in the middle of their teardown if it ended itself."""
    body = """
    told = []
    signals.arm(deadline=1, pass_on=lambda sign, reason: say(f'{sign.name} {reason}'))
    say('up')
    while not told:
        hold()"""
    run = guarded(body)
    assert run.heard() == "up"
    run.signal(signal.SIGINT)
    assert run.heard() == "SIGTERM interrupted by SIGINT"
    run.signal(signal.SIGUSR1)
    assert run.heard() == "SIGTERM interrupted by SIGINT"
    assert run.process.poll() is None


def test_a_worker_knows_a_cancel_from_an_interrupt(guarded: Start) -> None:
    """What the controller passes on as a cancel is told as one."""
    run = guarded("say('up'); hold()")
    assert run.heard() == "up"
    run.signal(signal.SIGUSR1)
    assert run.heard().startswith("teardown: cancelled")
