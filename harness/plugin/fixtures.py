"""The fixtures of a recipe's tests: its run, its checkout, abra, and the app of the current life.

An infrastructure problem is raised here and is an error; a problem of the recipe is raised in the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plugin.items import ITEM_STEP
from harness.plugin.session import RUNS
from harness.runs.run import Run
from harness.suites.app import App
from harness.swarm.abra import Abra


@pytest.fixture
def recipe_name(request: pytest.FixtureRequest) -> str:
    """The name of the recipe under test."""
    return str(request.node.stash[ITEM_STEP].recipe)


@pytest.fixture
def run(request: pytest.FixtureRequest, recipe_name: str) -> Run:
    """The run of this recipe, which holds a slot, the recipe's lock and its checkout."""
    opened = request.config.stash[RUNS].open_run(recipe_name)
    item_step = request.node.stash[ITEM_STEP]
    if not item_step.is_control:
        step = item_step.step
        opened.recorder.start_stage(step.stage, step.life(opened.request.lane))
    return opened


@pytest.fixture
def recipe(run: Run) -> Path:
    """The folder of the recipe's checkout, which only this run uses."""
    return run.checkout_dir


@pytest.fixture
def abra(run: Run) -> Abra:
    """abra with this run's own data directory."""
    return run.abra


@pytest.fixture
def app(request: pytest.FixtureRequest, run: Run) -> App:
    """The app of the current life; it is deployed once `test_install` or `test_base` has passed."""
    return run.enter(request.node.stash[ITEM_STEP].step.life(run.request.lane))


@pytest.fixture
def app_domain(app: App) -> str:
    """The registered domain of the app."""
    return app.domain
