"""What the tests of a recipe are handed: its run, its checkout, abra, and the app of the present life.

Our own trouble comes up here and makes an error; what the recipe does wrong comes up in the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.plugin.session import RUNS
from harness.runs.run import Run
from harness.suites.app import App
from harness.suites.collect import PLACE, Place
from harness.swarm.abra import Abra


@pytest.fixture
def recipe_name(request: pytest.FixtureRequest) -> str:
    """The name of the recipe under test."""
    place: Place = request.node.stash[PLACE]
    return place.recipe


@pytest.fixture
def run(request: pytest.FixtureRequest, recipe_name: str) -> Run:
    """The run of this recipe: holds its slot, its lock and its checkout."""
    opened = request.config.stash[RUNS].opened(recipe_name)
    place: Place = request.node.stash[PLACE]
    if not place.is_control:
        opened.recorder.begin(place.step.stage, place.step.life(opened.request.lane))
    return opened


@pytest.fixture
def recipe(run: Run) -> Path:
    """The locked checkout of the recipe; nobody else moves it."""
    return run.checkout_dir


@pytest.fixture
def abra(run: Run) -> Abra:
    """abra, with this run's own data directory."""
    return run.abra


@pytest.fixture
def app(request: pytest.FixtureRequest, run: Run) -> App:
    """The app of the present life: registered, and deployed once its install test has passed."""
    place: Place = request.node.stash[PLACE]
    return run.apps.enter(place.step.life(run.request.lane))


@pytest.fixture
def app_domain(app: App) -> str:
    """The registered domain of the app."""
    return app.domain
