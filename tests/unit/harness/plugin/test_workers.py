"""Sessions with workers: real pytest-xdist, workers that are killed, no Swarm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import settings
from harness.plugin.session import Runs
from harness.reporting import run_dir
from harness.runs.record import Request
from harness.settings import CHECKOUT

CONFTEST = """
import os, signal
import pytest
from harness.plugin.workers import RecipeScheduling

def pytest_xdist_make_scheduler(config, log):
    return RecipeScheduling(config, log)

@pytest.fixture
def recorded(request):
    with open(os.environ["RECORD"], "a") as file:
        file.write(request.node.nodeid + "\\n")
"""
TESTS = """
import os, signal
import pytest

@pytest.mark.parametrize("step", range(4))
def test_step(recorded, step):
    if {recipe!r} == "b" and step == 1:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, tuple[str, ...]]:
    """Exit code and tests of a session with two workers, in which recipe b kills its worker."""
    tmp_path = tmp_path_factory.mktemp("killed")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for recipe in "abc":
        (tmp_path / recipe).mkdir()
        (tmp_path / recipe / f"test_{recipe}.py").write_text(TESTS.format(recipe=recipe))
    record = tmp_path / "record"
    words = [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", str(tmp_path)]
    env = {**os.environ, "RECORD": str(record), "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, timeout=120)
    return done.returncode, tuple(record.read_text().split())


def test_a_recipe_whose_worker_was_killed_is_not_continued(
    ran: tuple[int, tuple[str, ...]],
) -> None:
    """Another worker has nothing to build on, and must not run anything twice."""
    exit_code, tests = ran
    assert exit_code == 1
    assert [test.partition("::")[2] for test in tests if "/b/" in f"/{test}"] == [
        "test_step[0]",
        "test_step[1]",
    ]


def test_recipes_that_a_killed_worker_had_not_begun_run_on_another(
    ran: tuple[int, tuple[str, ...]],
) -> None:
    _, tests = ran
    for recipe in "ac":
        assert len([test for test in tests if f"/{recipe}/" in f"/{test}"]) == 4


def test_a_planned_recipe_that_never_ran_is_not_green(tmp_path: Path) -> None:
    """The controller knows from its workers what was to be tested; one green run of two is not enough."""
    folder = tmp_path / "s-hello"
    folder.mkdir()
    green = (CHECKOUT / "tests" / "data" / "events" / "green.jsonl").read_text()
    (folder / "events.jsonl").write_text(green)
    recipe = run_dir.read(folder).recipe
    found = settings.load({"CCCI_RUNS_DIR": str(tmp_path)})
    runs = Runs(found, Request(), console=lambda line: None, session_id="s")
    runs.recipes_of_workers = frozenset({recipe})
    assert runs.exit_code() == 0
    runs.recipes_of_workers |= {"other"}
    assert runs.exit_code() == 2
