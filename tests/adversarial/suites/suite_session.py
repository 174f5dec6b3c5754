"""Sessions of pytest over a folder of test suites, in a process of their own and without a Swarm."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from tests.adversarial.suites import fake_stages_plugin
from tests.support.run_process import copy_suites, pytest_command

SEED = '''"""A suite."""
import os, sys
from pathlib import Path
import pytest
from harness import App, Run, check, seed, wreck

@seed
def put(app: App) -> None:
    app.write("app", "/page", "made by hand")
'''
CHECK = """
@check
def kept(app: App) -> None:
    assert app.read("app", "/page") == b"made by hand"
"""
TEST = """
@pytest.mark.functional
def test_works(app: App) -> None:
    assert app.read("app", "/page")
"""
HONEST = SEED + CHECK + TEST


@dataclass
class SuiteSession:
    """One pytest process over a folder of suites.

    Attributes:
        folder: a temporary folder for suites, runs and locks.
        exit_code: pytest's, once it has run.
        output: standard output and standard error.
    """

    folder: Path
    exit_code: int = -1
    output: str = ""

    def enrol(self, name: str, code: str, settings: str = "", conftest: str = "") -> None:
        """Add a recipe with a suite."""
        suite = self.folder / "suites" / name
        suite.mkdir(parents=True)
        (suite / f"test_{name.replace('-', '_')}.py").write_text(code)
        if settings:
            (suite / "recipe.yml").write_text(settings)
        if conftest:
            (suite / "conftest.py").write_text(conftest)

    def run(self, *options: str) -> SuiteSession:
        """Run pytest as a user does, with fake stages."""
        suites = copy_suites(self.folder / "suites")
        abra = self.folder / "abra"
        abra.write_text("#!/bin/sh\necho fake\n")
        abra.chmod(0o755)
        plugin = ("-p", fake_stages_plugin.__name__)
        done = subprocess.run(
            pytest_command(*plugin, suites, "--ref", "0123abcd" * 5, *options),
            cwd=CHECKOUT,
            env=self._environment(suites, abra),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.exit_code, self.output = done.returncode, done.stdout + done.stderr
        return self

    def _environment(self, suites: Path, abra: Path) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CCCI_", "PYTEST_"))}
        folders = {
            f"CCCI_{name}_DIR": str(self.folder / name.lower())
            for name in ("LOCK", "ACTIVE", "SLOTS", "RUNS")
        }
        own = {"CCCI_SUITES_DIR": str(suites), "CCCI_ABRA": str(abra), "CCCI_SETTINGS": "/dev/null"}
        return {**clean, **folders, **own, "DRONE_BUILD_NUMBER": "7"}

    def report(self, name: str = "") -> Report:
        """Return the report of a recipe's run, or of the only run."""
        return run_dir.read(self.folder / "runs" / (f"7-{name}" if name else "7"))
