"""A recipe that brings its own tests, with and without trust, on the real Swarm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bridge.builds import drone_log as bridge_told
from harness.reporting import report_line
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from harness.suites import trusted
from tests.support import git_repo
from tests.support.run_process import RunProcess, copy_suites

pytestmark = pytest.mark.swarm
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
RECIPE = "custom-html"
OWN = """
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
    git_repo.commit(repository, {"tests/test_pages.py": OWN}, "head")
    copy_suites(tmp_path / "suites", RECIPE)
    return tmp_path


def run(folder: Path, *options: str) -> tuple[RunProcess, Report]:
    """Run the recipe to the end; return the run and its report."""
    env = {"CCCI_RECIPES_URL": str(folder / "recipes" / "{recipe}")}
    ended = RunProcess(*options, suites=folder / "suites", env=env).to_end()
    return ended, ended.report


def test_own_tests_of_a_trusted_recipe_are_a_stage_wherever_stages_are_shown(folder: Path) -> None:
    """They reach the live app over TLS; report, terminal, JUnit, summary and bridge tell of them."""
    (folder / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{timeout: 120}}\n")
    ended, found = run(folder)
    assert (ended.exit_code, found.verdict.value, found.level) == (0, "passed", 5), ended.out
    stage = next(stage for stage in found.stages if stage.name == "recipe_tests")
    cases = {case.id: case.outcome for case in found.cases if case.stage == "recipe_tests"}
    assert stage.outcome == "pass"
    assert cases == {
        "tests/test_pages::test_the_page_is_served": "pass",
        "tests/test_pages::test_an_unknown_page_is_a_404": "pass",
        f"test_recipe_tests[{RECIPE}]": "pass",
    }
    assert "✓ recipe_tests" in ended.out
    assert f'classname="{RECIPE}.recipe_tests"' in (ended.dir / "junit.xml").read_text()
    assert "| ✓ | recipe\\_tests |" in (ended.dir / "summary.md").read_text()
    heard = bridge_told.read(report_line.line(found)).report
    assert heard is not None and "recipe_tests" in [stage.name for stage in heard.stages]


def test_own_tests_that_fail_turn_the_run_red_and_leave_the_level_alone(folder: Path) -> None:
    """It is the recipe's fault; what the app is for holds all the same."""
    (folder / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{}}\n")
    files = {"tests/test_more.py": "def test_more():\n    assert 'this' == 'that'\n"}
    git_repo.commit(folder / "recipes" / RECIPE, files, "more tests")
    ended, found = run(folder, "--quick")
    assert (ended.exit_code, found.verdict.value, found.stage) == (1, "recipe", "recipe_tests"), (
        ended.out
    )
    assert "'this' == 'that'" in found.reason
    others = {stage.outcome for stage in found.stages if stage.name != "recipe_tests"}
    assert others == {"pass"}


def test_without_trust_a_note_says_that_they_were_not_run(folder: Path) -> None:
    """There is no stage of them, and nobody takes their absence for a pass."""
    ended, found = run(folder, "--stages", "lint")
    assert ended.exit_code == 0, ended.out
    assert trusted.NOT_TRUSTED in found.notes
    assert "recipe_tests" not in [stage.name for stage in found.stages]
