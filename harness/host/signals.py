"""Signal and deadline handling: every way to stop a run goes through the normal teardown.

Drone's exec runner stops a build by sending SIGKILL to the step's shell only, so the harness asks the kernel
for a signal when its parent dies. A plain SIGTERM would end pytest without teardown; here it raises
an exception, repeated every few seconds until the teardown begins, because code under test may swallow
it. During teardown, and while a process is being started, signals are remembered and handled later.

A session that only controls workers (pytest-xdist) forwards the signal and waits for them:
otherwise it would kill them in the middle of their teardown.
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

PR_SET_PDEATHSIG = 1
CANCEL = signal.SIGUSR1  # tells workers that their session was cancelled
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, CANCEL)
REPEAT_INTERVAL = 5.0  # seconds; an interrupt comes again until the teardown has begun


class Interrupted(KeyboardInterrupt):
    """The run must stop now; pytest treats it as an interrupt."""


@dataclass
class _State:
    reason: str = ""  # why the run must stop
    pending: str = ""  # the first reason that arrived while signals were deferred
    requested: str = ""  # the reason that another thread gave to `cancel`
    tearing_down: bool = False
    deferred: int = 0
    parent: int = 0
    deadline: float = 0.0
    pass_on: Callable[[signal.Signals, str], None] | None = None


_state = _State()


def arm(*, deadline: float, pass_on: Callable[[signal.Signals, str], None] | None = None) -> None:
    """Turn the parent's death, SIGTERM, SIGHUP, SIGINT and the deadline into `Interrupted`.

    Args:
        deadline: seconds from now.
        pass_on: called instead, with the signal for the workers and the reason, in a session that only
            controls workers; they have deadlines of their own.
    """
    global _state
    if threading.current_thread() is not threading.main_thread():
        return
    _state = _State(parent=os.getppid(), deadline=deadline, pass_on=pass_on)
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    signal.signal(signal.SIGALRM, _on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0 if pass_on else deadline)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _state.parent:  # it died before prctl
        os.kill(os.getpid(), signal.SIGTERM)


class TimeLimitExceeded(BaseException):
    """A block of code took too long. Not an `Exception`, so that the block cannot swallow it easily."""


@contextlib.contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Interrupt the block of a `with` if it takes too long; the run's own deadline keeps running.

    Args:
        seconds: the limit.
        what: name of the block for the message.

    Raises:
        TimeLimitExceeded: the block took longer.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"{what} timed out after {seconds:.0f} s")

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
    """Defer signals from here on, so that nothing is left half removed."""
    _state.tearing_down = True
    if _state.reason:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
    drop_dead_outputs()


def end_teardown() -> None:
    """Handle signals again: a session may continue with another run.

    Raises:
        Interrupted: a signal arrived during the teardown.
    """
    _state.tearing_down = False
    _handle_pending()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Defer signals until the end of a `with`, where an exception could lose track of a process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.deferred += 1
    try:
        yield
    finally:
        _state.deferred -= 1
        _handle_pending()


def reason() -> str:
    """Return why the run was interrupted, or ""."""
    return _state.reason


def cancel(reason: str) -> None:
    """Interrupt the run for this reason, from any thread."""
    _state.requested = reason
    os.kill(os.getpid(), signal.SIGTERM)


def drop_dead_outputs() -> None:
    """Redirect outputs that nobody reads any more to /dev/null; writing to them would fail.

    They belong to a closed terminal or to a runner that has exited.
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
    if _state.requested:
        _stop(_state.requested)
    elif _state.parent and os.getppid() != _state.parent:
        _stop("cancelled: the process that started this run is gone")
    elif number == CANCEL:
        _stop("cancelled: the session that this run belongs to was cancelled")
    else:
        _stop(f"interrupted by {signal.Signals(number).name}")


def _on_alarm(number: int, frame: FrameType | None) -> None:
    if not _state.reason:
        _stop(f"timeout: the run's own deadline of {_state.deadline:.0f} s passed")
    elif not _state.tearing_down:
        _raise()


def _stop(reason: str) -> None:
    if _state.pass_on is not None:
        _state.reason = _state.reason or reason
        cancelled = _state.reason.startswith("cancelled")
        _state.pass_on(CANCEL if cancelled else signal.SIGTERM, _state.reason)
    elif _state.tearing_down or _state.deferred:
        _state.pending = _state.pending or reason
    elif not _state.reason:
        _state.reason = reason
        _raise()


def _handle_pending() -> None:
    if _state.tearing_down or _state.deferred:
        return
    reason, _state.pending = _state.pending, ""
    if reason and not _state.reason:
        _stop(reason)


def _raise() -> None:
    signal.setitimer(signal.ITIMER_REAL, REPEAT_INTERVAL)
    if not _state.deferred:
        raise Interrupted(_state.reason)
