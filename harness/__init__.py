"""The harness: what a suite's author imports, and nothing more."""

from harness.app import App
from harness.run import Run
from harness.secret import Secret
from harness.suite import check, seed, wreck

__all__ = ["App", "Run", "Secret", "check", "seed", "wreck"]
