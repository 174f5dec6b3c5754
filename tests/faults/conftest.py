"""Fixtures of the fault tests: an environment with a tiny recipe, and runs that are killed after the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, Unpack

import pytest

from harness.settings import CHECKOUT
from tests.faults.fault_env import FaultEnv, HeldRun, ProcessOptions
from tests.support.tiny_recipe import TinyRecipe


class Start(Protocol):
    """Starts a run of a tiny recipe; the arguments are those of `HeldRun`."""

    def __call__(
        self, *options: str, recipe: str = "tiny", ref: str = "", **process: Unpack[ProcessOptions]
    ) -> HeldRun: ...


@pytest.fixture(scope="module")
def fault_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultEnv]:
    """An environment with the tiny recipe; the janitor removes what its runs leave."""
    if not (CHECKOUT / ".bench" / "settings.env").exists():
        pytest.fail("the test bed is not set up; run `make setup`")
    found = FaultEnv(tmp_path_factory.mktemp("faults"))
    found.add_recipe("tiny")
    yield found
    found.run_janitor()


@pytest.fixture
def start(fault_env: FaultEnv) -> Iterator[Start]:
    """Start runs of tiny recipes; those that still run after the test are killed and cleaned up."""
    started: list[HeldRun] = []

    def start_run(
        *options: str, recipe: str = "tiny", ref: str = "", **process: Unpack[ProcessOptions]
    ) -> HeldRun:
        started.append(HeldRun(fault_env, *options, recipe=recipe, ref=ref, **process))
        return started[-1]

    yield start_run
    fault_env.hold_nothing()
    alive = [run for run in started if run.process.poll() is None]
    for run in started:
        run.kill()
    if alive:
        fault_env.run_janitor()


@pytest.fixture
def tiny(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[TinyRecipe]:
    """A tiny recipe without commits, named after the test; it is removed after the test."""
    recipe = TinyRecipe(tmp_path, f"tiny-{abs(hash(request.node.name)) % 100_000}")
    yield recipe
    recipe.clean()


@pytest.fixture
def upgradable(tiny: TinyRecipe) -> TinyRecipe:
    """A tiny recipe with a published version and a head."""
    tiny.commit(tag=True)
    tiny.commit(version="1.1.0+1", nginx="# new")
    return tiny
