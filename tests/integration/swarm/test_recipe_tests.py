"""A recipe that brings its own tests, with and without trust, on the real Swarm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from bridge.builds import drone_log as bridge_told
from harness import settings
from harness.reporting import report_line, run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from harness.suites import trusted
from tests.integration.swarm.test_plain_recipe import git

pytestmark = pytest.mark.swarm
FOUND = settings.load(os.environ)
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
def world(tmp_path: Path) -> Path:
    """A folder with the recipe's repository, whose head has tests of its own, and its suite."""
    folder = tmp_path / "recipes" / RECIPE
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for tree, tag in (
        (SOURCE / "versions" / "1.1.0+1.22.1", "1.1.0+1.22.1"),
        (SOURCE / "head", ""),
    ):
        shutil.copytree(tree, folder, dirs_exist_ok=True, copy_function=shutil.copy)
        if not tag:
            (folder / "tests").mkdir()
            (folder / "tests" / "test_pages.py").write_text(OWN)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", tree.name)
        if tag:
            git(folder, "tag", "--annotate", tag, "--message", "published")
    suites = tmp_path / "suites"
    shutil.copytree(CHECKOUT / "recipes_tests" / RECIPE, suites / RECIPE)
    shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", suites)
    return tmp_path


def run(world: Path, *options: str) -> tuple[int, str, Report]:
    """Run the recipe; return pytest's status, its output, and the report."""
    session = f"test-{uuid.uuid4().hex[:8]}"
    env = {
        **os.environ,
        "CCCI_SUITES_DIR": str(world / "suites"),
        "CCCI_RECIPES_URL": str(world / "recipes" / "{recipe}"),
        "DRONE_BUILD_NUMBER": session,
    }
    words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
    words += ["--rootdir", str(CHECKOUT), "-p", "harness.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*words, str(world / "suites"), *options],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout, run_dir.read(FOUND.runs_dir / session)


def test_own_tests_of_a_trusted_recipe_are_a_stage_wherever_stages_are_shown(world: Path) -> None:
    """They reach the live app over TLS; report, terminal, JUnit, summary and bridge tell of them."""
    (world / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{timeout: 120}}\n")
    status, out, found = run(world)
    assert (status, found.verdict.value, found.level) == (0, "passed", 5), out
    stage = next(stage for stage in found.stages if stage.name == "recipe_tests")
    cases = {case.id: case.outcome for case in found.cases if case.stage == "recipe_tests"}
    assert stage.outcome == "pass"
    assert cases == {
        "tests/test_pages::test_the_page_is_served": "pass",
        "tests/test_pages::test_an_unknown_page_is_a_404": "pass",
        f"test_recipe_tests[{RECIPE}]": "pass",
    }
    assert "✓ recipe_tests" in out
    assert f'classname="{RECIPE}.recipe_tests"' in _kept(found, "junit.xml")
    assert "| ✓ | recipe\\_tests |" in _kept(found, "summary.md")
    heard = bridge_told.read(report_line.line(found)).report
    assert heard is not None and "recipe_tests" in [stage.name for stage in heard.stages]


def test_own_tests_that_fail_turn_the_run_red_and_leave_the_level_alone(world: Path) -> None:
    """It is the recipe's fault; what the app is for holds all the same."""
    (world / "suites" / trusted.FILE).write_text(f"{RECIPE}: {{}}\n")
    folder = world / "recipes" / RECIPE
    (folder / "tests" / "test_more.py").write_text(
        "def test_more():\n    assert 'this' == 'that'\n"
    )
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "more tests")
    status, out, found = run(world, "--quick")
    assert (status, found.verdict.value, found.stage) == (1, "recipe", "recipe_tests"), out
    assert "'this' == 'that'" in found.reason
    others = {stage.outcome for stage in found.stages if stage.name != "recipe_tests"}
    assert others == {"pass"}


def test_without_trust_a_note_says_that_they_were_not_run(world: Path) -> None:
    """There is no stage of them, and nobody takes their absence for a pass."""
    status, out, found = run(world, "--stages", "lint")
    assert status == 0, out
    assert trusted.NOT_TRUSTED in found.notes
    assert "recipe_tests" not in [stage.name for stage in found.stages]


def _kept(found: Report, name: str) -> str:
    return (FOUND.runs_dir / found.run / name).read_text()
