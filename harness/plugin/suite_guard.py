"""Notices a suite that tampers with the harness: replaced code, pytest hooks, a forced exit code.

This is not a security boundary: a suite runs in the same process as the harness and can do anything that
Python allows; suites are reviewed before they are merged. It catches what a review may miss: a suite must
not change the code that judges it, not even with good intentions. Two more guards are in the modules that
write the files: `EventLog.restore` undoes changes to a run's events, and `Recorder.restore_events` records
that there were any.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NoReturn

import pytest

from harness.errors import UsageError
from harness.suites.outcome import Outcome

PACKAGE = "harness"
UNFINISHED = 2  # exit code of a session that ends before pytest has finished

_loaded: dict[str, object] = {}


# %% Replaced code


def remember() -> None:
    """Remember the code of the harness, before any suite is loaded."""
    _loaded.clear()
    _loaded.update(_parts())


def replaced() -> list[str]:
    """Return the names of everything that has changed since `remember`."""
    now = dict(_parts())
    return sorted(name for name, part in _loaded.items() if now.get(name) is not part)


def checked(outcome: Outcome) -> Outcome:
    """Return the outcome, or the suite's failure if parts of the harness were replaced."""
    changed = replaced()
    if not changed:
        return outcome
    names = ", ".join(changed[:3])
    return Outcome("fail", "suite", f"the suite replaced a part of the harness: {names}")


def _parts() -> Iterator[tuple[str, object]]:
    """Yield name and value of all that the harness's modules and classes define; for functions the code."""
    for name, module in list(sys.modules.items()):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            for key, value in _names(module).items():
                if not key.startswith("__"):
                    yield f"{name}.{key}", _code(value)
                if isinstance(value, type) and value.__module__ == name:
                    yield from ((f"{name}.{key}.{k}", _code(v)) for k, v in vars(value).items())


def _names(module: ModuleType) -> dict[str, object]:
    """Return a module's names, including those that it loads on first use."""
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())} | vars(module)


def _code(value: object) -> object:
    return value.__code__ if isinstance(value, FunctionType) else value


# %% Hooks of pytest


def refuse_hooks(config: pytest.Config, folder: Path) -> None:
    """Refuse suites that implement hooks of pytest, which choose what is run and reported.

    Args:
        config: the session's configuration.
        folder: the folder of all suites.

    Raises:
        UsageError: names file and hook.
    """
    found = hooks_of(config, folder)
    if found:
        raise UsageError(
            f"a suite may not contain pytest hooks, but there is {found[0]}; use a fixture instead"
        )


def hooks_of(config: pytest.Config, folder: Path) -> list[str]:
    """Return the pytest hooks that files below a folder implement, as "file: hook"."""
    callers: dict[str, Any] = vars(config.pluginmanager.hook)
    found = set()
    for name, caller in callers.items():
        for impl in caller.get_hookimpls() if name.startswith("pytest_") else ():
            path = Path(inspect.unwrap(impl.function).__code__.co_filename)
            if folder in path.parents:
                found.add(f"{path.relative_to(folder)}: {name}")
    return sorted(found)


# %% The exit code


@dataclass
class _Session:
    pid: int = 0  # 0 until the exit is guarded
    exit_code: int = UNFINISHED


_session = _Session()
_exit = os._exit


def guard_exit() -> None:
    """Prevent this process from exiting with code 0 before pytest has finished."""
    _session.pid, _session.exit_code = os.getpid(), UNFINISHED
    os._exit = _guarded_exit


def finish(exit_code: int) -> None:
    """Allow the process to exit, with the session's exit code."""
    _session.exit_code = exit_code


def _guarded_exit(status: int) -> NoReturn:
    """Replace `os._exit`: an exit code of 0 becomes the session's, except in forked children."""
    is_unearned = status == 0 and os.getpid() == _session.pid
    _exit(_session.exit_code if is_unearned else status)
