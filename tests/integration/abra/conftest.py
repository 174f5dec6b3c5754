"""Fixtures of the abra tests: an environment for one test, and one running app for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.abra.abra_env import AbraEnv


@dataclass(frozen=True)
class SharedApp:
    """A deployed app that tests only read."""

    env: AbraEnv
    domain: str
    secrets: dict[str, str]


@pytest.fixture
def env(tmp_path: Path) -> Iterator[AbraEnv]:
    """Return an environment with a recipe for one test."""
    made = AbraEnv(tmp_path)
    try:
        yield made.build()
    finally:
        made.remove_all()
        made.api.close()


@pytest.fixture(scope="session")
def shared_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedApp]:
    """Return a running app that no test changes."""
    env = AbraEnv(tmp_path_factory.mktemp("shared"))
    try:
        domain = env.build().create_app()
        generated = env.create_secrets(domain)
        env.deploy(domain)
        env.wait_until_running(domain)
        yield SharedApp(env, domain, generated)
    finally:
        env.remove_all()
        env.api.close()
