"""A suite, run on the real Swarm against a recipe of the sandbox."""

from __future__ import annotations

import os
from pathlib import Path

from harness import settings
from sandbox.trials import product
from tests.support.run_process import RunProcess, copy_suites

FOUND = settings.load(os.environ)


def run_suite(folder: Path, recipe: str, code: str, *options: str, **env: str) -> RunProcess:
    """Run a recipe of the sandbox to the end with a suite of the test's own.

    Args:
        folder: gets a copy of the recipe's suite.
        recipe: the recipe's name.
        code: the text of the suite's tests.
        options: further options of pytest.
        env: environment variables on top of ours.
    """
    suites = copy_suites(folder / "suites", recipe)
    for path in (suites / recipe).glob("test_*.py"):
        path.write_text(code)
    head = product.head_of(recipe)
    return RunProcess(*options, suites=suites, ref=head, env=env).to_end()
