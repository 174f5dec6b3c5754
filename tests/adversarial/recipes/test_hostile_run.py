"""Whole runs of hostile recipes on a real Swarm: Docker's events prove that nothing was deployed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from harness.settings import CHECKOUT
from harness.swarm import engine
from tests.support import git_repo
from tests.support.run_process import RunProcess, copy_suites

pytestmark = pytest.mark.swarm
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
NAME = "hostile"


def demo_files(version: str) -> dict[str, str]:
    """Return the files of a demo recipe's version, renamed to the hostile recipe."""
    files = {p.name: p.read_text() for p in (SOURCE / version).iterdir()}
    return {**files, ".env.sample": files[".env.sample"].replace("custom-html", NAME)}


def with_host_mount(files: dict[str, str]) -> dict[str, str]:
    """Return the files with the host's root mounted into the app."""
    text = files["compose.yml"]
    return {
        **files,
        "compose.yml": text.replace("    volumes:\n", "    volumes:\n      - /:/host\n", 1),
    }


def run_recipe(
    folder: Path, base: dict[str, str], head: dict[str, str], *options: str
) -> tuple[RunProcess, list[Any]]:
    """Run a recipe cold; return the run and the names of all services that Docker created for it."""
    recipe = git_repo.init(folder / "recipes" / NAME)
    git_repo.commit(recipe, base, "base", tag="1.1.0+1.22.1")
    git_repo.commit(recipe, head, "head")
    suites = copy_suites(folder / "suites")
    (suites / NAME).mkdir()
    start = time.time()
    env = {"CCCI_RECIPES_URL": str(folder / "recipes" / "{recipe}")}
    run = RunProcess(*options, suites=suites, env=env).finish()
    wanted = {"type": "service", "event": "create"}
    events = engine.client().events(
        since=int(start), until=time.time(), filters=wanted, decode=True
    )
    names = [event["Actor"]["Attributes"]["name"] for event in events]
    return run, [name for name in names if f"-{NAME}_" in name]


def test_a_head_that_mounts_the_host_is_red_and_not_deployed(tmp_path: Path) -> None:
    run, created = run_recipe(
        tmp_path, demo_files("versions/1.1.0+1.22.1"), with_host_mount(demo_files("head"))
    )
    found = run.report
    assert (run.exit_code, found.verdict.value, found.stage) == (1, "recipe", "install")
    assert "compose.yml: services.app.volumes: mounts the host path '/' (host-root)" in found.reason
    assert "'allow: [host-root]'" in found.reason
    assert created == []


def test_a_published_version_that_mounts_the_host_is_not_the_heads_fault(tmp_path: Path) -> None:
    """The upgrade from it is unverified, and it is not deployed."""
    base = with_host_mount(demo_files("versions/1.1.0+1.22.1"))
    run, created = run_recipe(tmp_path, base, demo_files("head"), "--stages", "upgrade")
    found = run.report
    upgrade = next(stage for stage in found.stages if stage.name == "upgrade")
    assert (run.exit_code, found.verdict.value, upgrade.outcome) == (16, "infra", "unverified")
    assert "published version 1.1.0+1.22.1 does not deploy" in found.reason
    assert "(host-root)" in found.reason
    assert created == []
