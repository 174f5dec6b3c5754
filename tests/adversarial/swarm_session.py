"""Runs of a demo recipe on the real Swarm with a suite of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

from harness import settings
from sandbox.trials import product
from tests.support.run_process import RunProcess, copy_suites

FOUND = settings.load(os.environ)


def run_suite(folder: Path, recipe: str, code: str, *options: str, **env: str) -> RunProcess:
    """Run a demo recipe with a suite of the test's own and return the finished run.

    Args:
        folder: the suite is written below it.
        recipe: the recipe's name.
        code: the text of the suite's tests.
        options: further options of pytest.
        env: more environment variables.
    """
    suites = copy_suites(folder / "suites", recipe)
    for path in (suites / recipe).glob("test_*.py"):
        path.write_text(code)
    head = product.head_of(recipe)
    return RunProcess(*options, suites=suites, ref=head, env=env).finish()
