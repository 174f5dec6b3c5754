"""The guard of a run's lifetime: whatever ends it, the normal teardown follows.

Drone's exec runner ends a build by SIGKILL to the step's shell alone, so the harness asks the kernel
for a signal when its parent dies. A plain SIGTERM would end pytest without teardown; here it becomes
an exception, once. During teardown further signals are noted and ignored.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from dataclasses import dataclass
from types import FrameType

PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The run has to end now; pytest treats it as an interrupt."""


@dataclass
class _State:
    why: str = ""
    tearing_down: bool = False
    ignored: int = 0
    asked: str = ""
    parent: int = 0
    deadline: float = 0.0


_state = _State()


def arm(*, deadline: float) -> None:
    """Turn the parent's death, SIGTERM, SIGHUP, SIGINT and the deadline into `Interrupted`.

    deadline: seconds from now.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _state.parent, _state.deadline = os.getppid(), deadline
    for number in SIGNALS:
        signal.signal(number, _on_signal)
    signal.signal(signal.SIGALRM, _on_deadline)
    signal.setitimer(signal.ITIMER_REAL, deadline)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _state.parent:  # it died between the two lines
        os.kill(os.getpid(), signal.SIGTERM)


def begin_teardown() -> None:
    """From here on signals are noted and ignored, so that nothing is left half removed."""
    _state.tearing_down = True


def end_teardown() -> None:
    """Signals count again: the next run of the same pytest may be interrupted."""
    _state.tearing_down = False


def why() -> str:
    """Return why the run was ended, "" when it was not."""
    return _state.why


def cancel(reason: str) -> None:
    """End the run with this reason, from any thread."""
    _state.asked = reason
    os.kill(os.getpid(), signal.SIGTERM)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _state.asked:
        _end(_state.asked)
    elif _state.parent and os.getppid() != _state.parent:
        _end("cancelled: the process that started this run is gone")
    else:
        _end(f"interrupted by {signal.Signals(number).name}")


def _on_deadline(number: int, frame: FrameType | None) -> None:
    _end(f"timeout: the run's own deadline of {_state.deadline:.0f} s passed")


def _end(reason: str) -> None:
    if _state.tearing_down or _state.why:
        _state.ignored += 1
        return
    _state.why = reason
    raise Interrupted(reason)
