"""A recipe's own tests, trusted and not, on the real Swarm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bridge.builds import drone_log
from harness.reporting import report_line
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from harness.suites import trusted
from tests.support import git_repo
from tests.support.run_process import RunProcess, copy_suites

pytestmark = pytest.mark.swarm
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
RECIPE = "custom-html"
OWN_TESTS = """
import os
import requests

URL = os.environ["APP_URL"]

def test_the_page_is_served():
    assert "made by hand" in requests.get(f"{URL}/ci.html", timeout=10).text

def test_an_unknown_page_is_a_404():
    assert requests.get(f"{URL}/nope", timeout=10).status_code == 404
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe's repository, whose head has tests of its own, and its suite."""
    repository = git_repo.init(tmp_path / "recipes" / RECIPE)
    base = SOURCE / "versions" / "1.1.0+1.22.1"
    shutil.copytree(base, repository, dirs_exist_ok=True, copy_function=shutil.copy)
    git_repo.commit(repository, {}, base.name, tag=base.name)
    shutil.copytree(SOURCE / "head", repository, dirs_exist_ok=True, copy_function=shutil.copy)
    git_repo.commit(repository, {"tests/test_pages.py": OWN_TESTS}, "head")
    copy_suites(tmp_path / "suites", RECIPE)
    return tmp_path


def run(folder: Path, *options: str) -> tuple[RunProcess, Report]:
    """Run the recipe; return the finished run and its report."""
    env = {"CCCI_RECIPES_URL": str(folder / "recipes" / "{recipe}")}
    finished = RunProcess(*options, suites=folder / "suites", env=env).finish()
    return finished, finished.report


def test_own_tests_of_a_trusted_recipe_are_a_stage_in_every_report(folder: Path) -> None:
    """Report, terminal, JUnit, summary and bridge. They reach the live app over TLS."""
    (folder / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{timeout: 120}}\n")
    finished, found = run(folder)
    assert (finished.exit_code, found.verdict.value, found.level) == (0, "passed", 5), finished.out
    stage = next(stage for stage in found.stages if stage.name == "recipe_tests")
    cases = {case.id: case.outcome for case in found.cases if case.stage == "recipe_tests"}
    assert stage.outcome == "pass"
    assert cases == {
        "tests/test_pages::test_the_page_is_served": "pass",
        "tests/test_pages::test_an_unknown_page_is_a_404": "pass",
        f"test_recipe_tests[{RECIPE}]": "pass",
    }
    assert "✓ recipe_tests" in finished.out
    assert f'classname="{RECIPE}.recipe_tests"' in (finished.dir / "junit.xml").read_text()
    assert "| ✓ | recipe\\_tests |" in (finished.dir / "summary.md").read_text()
    received = drone_log.read(report_line.line(found)).report
    assert received is not None and "recipe_tests" in [stage.name for stage in received.stages]


def test_own_tests_that_fail_make_the_run_fail_and_keep_the_level(folder: Path) -> None:
    (folder / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{}}\n")
    files = {"tests/test_more.py": "def test_more():\n    assert 'this' == 'that'\n"}
    git_repo.commit(folder / "recipes" / RECIPE, files, "more tests")
    finished, found = run(folder, "--quick")
    assert (finished.exit_code, found.verdict.value, found.stage) == (
        1,
        "recipe",
        "recipe_tests",
    ), finished.out
    assert "'this' == 'that'" in found.reason
    others = {stage.outcome for stage in found.stages if stage.name != "recipe_tests"}
    assert others == {"pass"}


def test_untrusted_own_tests_are_not_run_and_a_note_says_so(folder: Path) -> None:
    """They have no stage either, so that their absence does not look like a pass."""
    finished, found = run(folder, "--stages", "lint")
    assert finished.exit_code == 0, finished.out
    assert trusted.NOT_TRUSTED in found.notes
    assert "recipe_tests" not in [stage.name for stage in found.stages]
