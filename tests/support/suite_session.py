"""Suites that are played without a Swarm: an honest one, and pytest processes over folders of others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from tests.support import fake_stages_plugin

HEAD = '''"""A suite."""
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
HONEST = HEAD + CHECK + TEST


@dataclass
class Played:
    """One pytest process over a folder of suites: exit status, output, and where its runs are."""

    folder: Path
    status: int = -1
    out: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def enrol(self, name: str, code: str, settings: str = "", conftest: str = "") -> None:
        """Give a recipe a suite."""
        place = self.folder / "suites" / name
        place.mkdir(parents=True)
        (place / f"test_{name.replace('-', '_')}.py").write_text(code)
        if settings:
            (place / "recipe.yml").write_text(settings)
        if conftest:
            (place / "conftest.py").write_text(conftest)

    def play(self, *options: str) -> Played:
        """Run pytest as anybody would, but for the Swarm."""
        shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", self.folder / "suites")
        abra = self.folder / "abra"
        abra.write_text("#!/bin/sh\necho fake\n")
        abra.chmod(0o755)
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
        words += [
            "--rootdir",
            str(CHECKOUT),
            "-p",
            "no:cacheprovider",
            "-p",
            fake_stages_plugin.__name__,
        ]
        words += ["-p", "harness.plugin", str(self.folder / "suites"), "--ref", "0123abcd" * 5]
        places = {
            f"CCCI_{what}_DIR": str(self.folder / what) for what in ("LOCK", "ACTIVE", "SLOTS")
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CCCI_", "PYTEST_"))}
        clean |= {"CCCI_RUNS_DIR": str(self.folder / "runs"), "CCCI_ABRA": str(abra), **places}
        clean |= {"CCCI_SUITES_DIR": str(self.folder / "suites"), "CCCI_SETTINGS": "/dev/null"}
        done = subprocess.run(
            [*words, *options],
            cwd=CHECKOUT,
            env={**clean, "DRONE_BUILD_NUMBER": "7"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.status, self.out = done.returncode, done.stdout + done.stderr
        return self

    def report(self, name: str = "") -> Report:
        """Return the report of a recipe's run; of the only run without a name."""
        return run_dir.read(self.folder / "runs" / (f"7-{name}" if name else "7"))
