"""One Gitea and one Drone for all tests; each test has its own organisation and bridge."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.ci.drone import Drone, choose_drone
from sandbox.forge.gitea import Gitea
from sandbox.host import paths
from sandbox.host.paths import CI_REPO
from tests.integration.forge.conversation import BOT, MEMBER, NON_MEMBER, Discovery, World
from tests.support.figures import Part, record_cases
from tests.support.ports import free_port

HERE = Path(__file__).parent
NUMBERS = itertools.count(1)
PIPELINE = """\
kind: pipeline
type: exec
name: recipe-ci
platform: {os: linux, arch: amd64}
concurrency: {limit: 2}
trigger:
  event: [custom]
steps:
  - name: recipe
    environment: {HOME: /tmp}
    commands:
      - python fake_recipe_ci.py
"""


pytest_runtest_makereport = record_cases(Part.BRIDGE, by="test")


@pytest.fixture(scope="session")
def forge() -> Iterator[Gitea]:
    """Hand out a real Gitea with users and the repository of the CI."""
    folder = Path(tempfile.mkdtemp(prefix="ccci-forge-"))
    folder.chmod(0o755)  # Gitea does not run as root, and pytest's own folders are root's alone
    made = Gitea(folder / "gitea", free_port(), tied=True)
    made.start()
    for name in (BOT, MEMBER, NON_MEMBER):
        made.ensure_user(name)
    made.create_organisation("ci", {})
    made.create_repository("ci", "cc-ci")
    made.commit(CI_REPO, "main", "fake_recipe_ci.py", (HERE / "fake_recipe_ci.py").read_text())
    made.commit(CI_REPO, "main", ".drone.yml", PIPELINE)
    yield made
    made.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hand out the folder with the scripts of fake runs."""
    return tmp_path_factory.mktemp("plans")


@pytest.fixture(scope="session")
def drone(forge: Gitea, plans: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drone]:
    """Hand out a Drone with fake runs: the stand-in, or a real one if the environment names it."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": tools, "PLANS": str(plans), "PYTHONPATH": str(paths.CHECKOUT)}
    made = choose_drone(tmp_path_factory.mktemp("drone"), free_port(), forge, environ)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def make_world(
    forge: Gitea, drone: Drone, plans: Path, tmp_path: Path
) -> Iterator[Callable[..., World]]:
    """Hand out a function that makes worlds; they are closed afterwards."""
    made: list[World] = []

    def make(path: Discovery = "both", **settings: str) -> World:
        number = next(NUMBERS)
        found = World(tmp_path / f"w{number}", forge, drone, plans, f"org{number}", path, settings)
        made.append(found)
        return found

    yield make
    for world in made:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Hand out a world with a running bridge, with webhook and polling."""
    found = make_world()
    found.open()
    return found
