"""A suite, run on the real Swarm against a recipe of the sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

from harness import settings
from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from sandbox.trials import zoo

FOUND = settings.load(os.environ)
TIMEOUT = 400.0  # seconds


class Real:
    """One run of a recipe with a suite of our own: exit status, output, directory and report."""

    def __init__(self, folder: Path, recipe: str, code: str, *options: str, **env: str) -> None:
        suites = folder / "suites"
        shutil.copytree(CHECKOUT / "recipes_tests" / recipe, suites / recipe)
        shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", suites)
        for path in (suites / recipe).glob("test_*.py"):
            path.write_text(code)
        run = f"guard-{uuid.uuid4().hex[:8]}"
        self.dir = FOUND.runs_dir / run
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
        words += ["--rootdir", str(CHECKOUT), "-p", "harness.plugin", "-p", "no:cacheprovider"]
        words += [str(suites), "--ref", zoo.head_of(FOUND, recipe), *options]
        env = {**os.environ, "CCCI_SUITES_DIR": str(suites), "DRONE_BUILD_NUMBER": run, **env}
        done = subprocess.run(
            words,
            cwd=CHECKOUT,
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.status, self.out = done.returncode, done.stdout + done.stderr

    @property
    def report(self) -> Report:
        """The run's report."""
        return run_dir.read(self.dir)
