"""A folder of suites, and what pytest collects from it.

Sessions that only collect run in this process, as pytest's own tests of plugins do: they change nothing
outside, and a new interpreter for each would take most of the time of all unit tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from harness.settings import CHECKOUT
from tests.support.run_process import pytest_command

# Skip the garbage collections that look for unraisable exceptions: half of the time of such a session.
ONLY_COLLECT = ("-p", "no:unraisableexception", "--collect-only", "-q")
LIFECYCLE = (CHECKOUT / "recipes_tests" / "test_lifecycle.py").read_text()
GOOD = """
import pytest
from harness import App, check, seed

@seed
def made(app: App) -> None:
    app.write("app", "/f", "x")

@check
def kept(app: App) -> None:
    assert app.read("app", "/f") == b"x"

@pytest.mark.functional
def test_works(app: App) -> None:
    assert app.get("/").text
"""


@dataclass(frozen=True)
class Collected:
    """Exit code and output of a session that only collected."""

    returncode: int
    stdout: str
    stderr: str


class Suites:
    """A folder of suites, and pytest run over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "test_lifecycle.py").write_text(LIFECYCLE)

    def add(self, recipe: str, code: str = "", settings: str = "") -> None:
        """Enrol a recipe."""
        suite = self.folder / recipe
        suite.mkdir()
        if code:
            (suite / f"test_{recipe.replace('-', '_')}.py").write_text(code)
        if settings:
            (suite / "recipe.yml").write_text(settings)

    def collect(self, *options: str, path: str = "", **env: str) -> Collected:
        """Let pytest collect the suites in this process, and undo all changes to it."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(CHECKOUT),
            mock.patch.dict(os.environ, self._environment(env), clear=True),
            mock.patch.dict(sys.modules),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            _, _, _, *words = pytest_command(self.folder / path, *ONLY_COLLECT, *options)
            exit_code = pytest.main(words)
        return Collected(int(exit_code), out.getvalue(), err.getvalue())

    def pytest(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run pytest over the suites in a process of its own."""
        return subprocess.run(
            pytest_command(self.folder, *options),
            cwd=CHECKOUT,
            env=self._environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CCCI_", "PYTEST_"))}
        return {**clean, "CCCI_SUITES_DIR": str(self.folder), **env}

    def collected(self, *options: str, path: str = "", **env: str) -> list[str]:
        """Return the names of the collected tests, in order."""
        done = self.collect(*options, path=path, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        names = [line.rpartition("::")[2] for line in done.stdout.splitlines() if "::" in line]
        counted = re.search(r"^(\d+)(/\d+)? tests? collected", done.stdout, re.MULTILINE)
        assert counted is not None and int(counted[1]) == len(names), "pytest counts differently"
        return names
