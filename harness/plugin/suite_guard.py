"""Whether the harness is still itself: its functions are those that were loaded, pytest's hooks its own.

A suite runs in the same process. It is reviewed code, so this is no wall against malice; it tells what
a suite must not do even with the best intentions: replace what judges it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

PACKAGE = "harness"

_loaded: dict[str, object] = {}


def remember() -> None:
    """Remember the harness as it is now, before any suite is loaded."""
    _loaded.clear()
    _loaded.update(_parts())


def replaced() -> list[str]:
    """Return the names of what is not what was remembered."""
    now = dict(_parts())
    return sorted(name for name, part in _loaded.items() if now.get(name) is not part)


def _parts() -> Iterator[tuple[str, object]]:
    """Yield name and value of all that the harness's modules and classes define; of functions the code."""
    for name, module in list(sys.modules.items()):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            for key, value in _names(module).items():
                if not key.startswith("__"):
                    yield f"{name}.{key}", _code(value)
                if isinstance(value, type) and value.__module__ == name:
                    yield from ((f"{name}.{key}.{k}", _code(v)) for k, v in vars(value).items())


def _names(module: ModuleType) -> dict[str, object]:
    """Return a module's names; also those that it loads when they are asked for."""
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())} | vars(module)


def _code(value: object) -> object:
    return value.__code__ if isinstance(value, FunctionType) else value


def hooks_of(config: pytest.Config, folder: Path) -> list[str]:
    """Return pytest's hooks that files below a folder implement, as "file: hook"."""
    callers: dict[str, Any] = vars(config.pluginmanager.hook)
    found = set()
    for name, caller in callers.items():
        for impl in caller.get_hookimpls() if name.startswith("pytest_") else ():
            path = Path(inspect.unwrap(impl.function).__code__.co_filename)
            if folder in path.parents:
                found.add(f"{path.relative_to(folder)}: {name}")
    return sorted(found)
