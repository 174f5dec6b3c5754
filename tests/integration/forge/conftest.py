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
from tests.integration.forge.bridge_env import BOT, MEMBER, NON_MEMBER, BridgeEnv, Discovery
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
    """Yield a real Gitea with users and the repository of the CI."""
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
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the scripts of fake runs."""
    return tmp_path_factory.mktemp("scripts")


@pytest.fixture(scope="session")
def drone(forge: Gitea, scripts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drone]:
    """Yield a Drone with fake runs: the stand-in, or a real one if the environment names it."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": tools, "SCRIPTS": str(scripts), "PYTHONPATH": str(paths.CHECKOUT)}
    made = choose_drone(tmp_path_factory.mktemp("drone"), free_port(), forge, environ)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def make_env(
    forge: Gitea, drone: Drone, scripts: Path, tmp_path: Path
) -> Iterator[Callable[..., BridgeEnv]]:
    """Yield a function that creates an organisation with a bridge; all are closed afterwards."""
    made: list[BridgeEnv] = []

    def make(discovery: Discovery = "both", **settings: str) -> BridgeEnv:
        number = next(NUMBERS)
        found = BridgeEnv(
            tmp_path / str(number), forge, drone, scripts, f"org{number}", discovery, settings
        )
        made.append(found)
        return found

    yield make
    for env in made:
        env.close()


@pytest.fixture
def env(make_env: Callable[..., BridgeEnv]) -> BridgeEnv:
    """Return an organisation with a running bridge, which has webhook and polling."""
    found = make_env()
    found.open()
    return found
