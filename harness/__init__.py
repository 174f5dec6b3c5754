"""The harness: what a suite's author imports, and nothing more.

Each name is loaded when somebody asks for it: who needs one module of the harness does not load them all.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.runs.run import Run
    from harness.secret import Secret
    from harness.suites.app import App
    from harness.suites.markers import check, seed, wreck

__all__ = ["App", "Run", "Secret", "check", "seed", "wreck"]

_HOME = {
    "App": "harness.suites.app",
    "Run": "harness.runs.run",
    "Secret": "harness.secret",
    "check": "harness.suites.markers",
    "seed": "harness.suites.markers",
    "wreck": "harness.suites.markers",
}


def __getattr__(name: str) -> object:
    """Load the module that a name stands in."""
    if name not in _HOME:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
