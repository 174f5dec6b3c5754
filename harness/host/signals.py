"""The guard of a run's lifetime: whatever ends it, the normal teardown follows.

Drone's exec runner ends a build by SIGKILL to the step's shell alone, so the harness asks the kernel
for a signal when its parent dies. A plain SIGTERM would end pytest without teardown; here it becomes
an exception, again every few seconds until the teardown has begun, since code under test may swallow
it. During teardown, and where a process is being started, signals are noted and wait.

A session that only controls workers (pytest-xdist) passes the signal on and lives until they are done:
it would otherwise kill them in the middle of their teardown.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

PR_SET_PDEATHSIG = 1
CANCEL = signal.SIGUSR1  # a controller's word to its workers that their session was cancelled
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, CANCEL)
REPEAT_INTERVAL = 5.0  # seconds; an interrupt comes again until the teardown has begun


class Interrupted(KeyboardInterrupt):
    """The run has to end now; pytest treats it as an interrupt."""


UNFINISHED = 2  # exit status of a session that ends in the middle
_exit = os._exit


@dataclass
class _State:
    why: str = ""  # the reason the run was told to end for
    noted: str = ""  # the first reason that has to wait
    asked: str = ""  # the reason that another thread gave
    tearing_down: bool = False
    deferred: int = 0
    parent: int = 0
    deadline: float = 0.0
    pass_on: Callable[[signal.Signals, str], None] | None = None
    pid: int = 0
    status: int = UNFINISHED


_state = _State()


def arm(*, deadline: float, pass_on: Callable[[signal.Signals, str], None] | None = None) -> None:
    """Turn the parent's death, SIGTERM, SIGHUP, SIGINT and the deadline into `Interrupted`.

    deadline: seconds from now. pass_on: called instead with the signal for the workers and the reason,
    in a session that only controls them; they have deadlines of their own.
    """
    global _state
    if threading.current_thread() is not threading.main_thread():
        return
    _state = _State(parent=os.getppid(), deadline=deadline, pass_on=pass_on, pid=os.getpid())
    os._exit = _leave
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0 if pass_on else deadline)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _state.parent:  # it died between the two lines
        os.kill(os.getpid(), signal.SIGTERM)


def set_exit_code(status: int) -> None:
    """From here on the process may end at once, with this status."""
    _state.status = status


def _leave(status: int) -> NoReturn:
    """End the process at once; with 0 only where the session came to a green end."""
    unearned = status == 0 and os.getpid() == _state.pid
    _exit(_state.status if unearned else status)


class TimeLimitExceeded(BaseException):
    """A block of code took longer than it may; no `except Exception` of it can keep it going."""


@contextlib.contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """End the block where it takes longer than this; the run's own deadline goes on meanwhile.

    Raises:
        TimeLimitExceeded: it did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"{what} was still going on after {seconds:.0f} s")

    start, (left, _) = time.monotonic(), signal.getitimer(signal.ITIMER_REAL)
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again, for code that catches everything
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, left - (time.monotonic() - start)))


def begin_teardown() -> None:
    """From here on signals wait, so that nothing is left half removed."""
    _state.tearing_down = True
    if _state.why:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    drop_dead_outputs()


def end_teardown() -> None:
    """Signals count again: a session may go on with another run.

    Raises:
        Interrupted: a signal came during the teardown.
    """
    _state.tearing_down = False
    _act_on_what_waited()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let signals wait until the end of a `with`, where a process could otherwise get lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
        _act_on_what_waited()


def reason() -> str:
    """Return why the run was ended, "" when it was not."""
    return _state.why


def cancel(reason: str) -> None:
    """End the run with this reason, from any thread."""
    _state.asked = reason
    os.kill(os.getpid(), signal.SIGTERM)


def drop_dead_outputs() -> None:
    """Point outputs that nobody reads any more at nothing: writing to them would break the teardown.

    They belong to a terminal that was closed, or to a runner that went away.
    """
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if _is_dead_output(int(name)):
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, int(name))
                os.close(null)


def _is_dead_output(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    reads_only = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    if reads_only or not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return False
    look = select.poll()
    look.register(fd, 0)
    return any(seen & (select.POLLERR | select.POLLHUP) for _, seen in look.poll(0))


def _on_signal(number: int, frame: FrameType | None) -> None:
    drop_dead_outputs()
    if _state.asked:
        _end(_state.asked)
    elif _state.parent and os.getppid() != _state.parent:
        _end("cancelled: the process that started this run is gone")
    elif number == CANCEL:
        _end("cancelled: the session that this run belongs to was cancelled")
    else:
        _end(f"interrupted by {signal.Signals(number).name}")


def _on_alarm(number: int, frame: FrameType | None) -> None:
    if not _state.why:
        _end(f"timeout: the run's own deadline of {_state.deadline:.0f} s passed")
    elif not _state.tearing_down:
        _raise()


def _end(reason: str) -> None:
    if _state.pass_on is not None:
        _state.why = _state.why or reason
        cancelled = _state.why.startswith("cancelled")
        _state.pass_on(CANCEL if cancelled else signal.SIGTERM, _state.why)
    elif _state.tearing_down or _state.deferred:
        _state.noted = _state.noted or reason
    elif not _state.why:
        _state.why = reason
        _raise()


def _act_on_what_waited() -> None:
    if _state.tearing_down or _state.deferred:
        return
    reason, _state.noted = _state.noted, ""
    if reason and not _state.why:
        _end(reason)


def _raise() -> None:
    signal.setitimer(signal.ITIMER_REAL, REPEAT_INTERVAL)
    if not _state.deferred:
        raise Interrupted(_state.why)
