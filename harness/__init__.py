"""The public names of the harness, for authors of suites.

Each name is imported on first use, so that importing one module of the harness does not load all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.runs.run import Run
    from harness.secret import Secret
    from harness.suites.app import App
    from harness.suites.markers import check, seed, wreck

__all__ = ["App", "Run", "Secret", "check", "seed", "wreck"]

_MODULES = {
    "App": "harness.suites.app",
    "Run": "harness.runs.run",
    "Secret": "harness.secret",
    "check": "harness.suites.markers",
    "seed": "harness.suites.markers",
    "wreck": "harness.suites.markers",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use."""
    if name not in _MODULES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)
