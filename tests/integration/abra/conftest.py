"""Fixtures of the contract tests: a world of one's own, and one shared running app."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.abra.abra_env import World


@dataclass(frozen=True)
class Live:
    """A deployed app that tests only look at."""

    world: World
    domain: str
    secrets: dict[str, str]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a recipe and a data directory for one test."""
    made = World(tmp_path)
    try:
        yield made.build()
    finally:
        made.clean()
        made.api.close()


@pytest.fixture(scope="session")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return a running app that no test changes."""
    world = World(tmp_path_factory.mktemp("live"))
    try:
        domain = world.build().new()
        made = world.make_secrets(domain)
        world.deploy(domain)
        world.running(domain)
        yield Live(world, domain, made)
    finally:
        world.clean()
        world.api.close()
