"""Whole runs of hostile recipes on a real Swarm: Docker's events prove that nothing was deployed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from harness import settings
from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.settings import CHECKOUT
from harness.swarm import engine
from tests.adversarial.recipes.hostile import Recipe, run_git

pytestmark = pytest.mark.swarm
FOUND = settings.load(os.environ)
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
NAME = "hostile"


def tree(version: str) -> dict[str, str]:
    """Return the files of a demo recipe's version, renamed to the hostile recipe."""
    files = {p.name: p.read_text() for p in (SOURCE / version).iterdir()}
    return {**files, ".env.sample": files[".env.sample"].replace("custom-html", NAME)}


def hostile(files: dict[str, str]) -> dict[str, str]:
    """Return the files with the host's root mounted into the app."""
    text = files["compose.yml"]
    return {
        **files,
        "compose.yml": text.replace("    volumes:\n", "    volumes:\n      - /:/host\n", 1),
    }


def ran(
    folder: Path, base: dict[str, str], head: dict[str, str], *options: str
) -> tuple[int, Report, list[Any]]:
    """Run a recipe cold; return exit status, report, and every service the engine made for it."""
    recipe = Recipe.make(folder / "recipes" / NAME)
    recipe.commit(base)
    run_git(recipe.folder, "tag", "--annotate", "1.1.0+1.22.1", "--message", "published")
    recipe.commit(head)
    suites = folder / "suites"
    (suites / NAME).mkdir(parents=True)
    shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", suites)
    run, begun = f"test-{uuid.uuid4().hex[:8]}", time.time()
    words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini"), str(suites)]
    words += [
        "--rootdir",
        str(CHECKOUT),
        "-p",
        "harness.plugin",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    env = {
        **os.environ,
        "CCCI_SUITES_DIR": str(suites),
        "CCCI_RECIPES_URL": str(folder / "recipes" / "{recipe}"),
        "DRONE_BUILD_NUMBER": run,
    }
    done = subprocess.run(
        words, cwd=CHECKOUT, env=env, capture_output=True, timeout=400, check=False
    )
    wanted = {"type": "service", "event": "create"}
    made = engine.client().events(since=int(begun), until=time.time(), filters=wanted, decode=True)
    names = [event["Actor"]["Attributes"]["name"] for event in made]
    return (
        done.returncode,
        run_dir.read(FOUND.runs_dir / run),
        [n for n in names if f"-{NAME}_" in n],
    )


def test_a_head_that_mounts_the_host_is_red_and_not_deployed(tmp_path: Path) -> None:
    status, found, made = ran(tmp_path, tree("versions/1.1.0+1.22.1"), hostile(tree("head")))
    assert (status, found.verdict.value, found.stage) == (1, "recipe", "install")
    assert "compose.yml: services.app.volumes: mounts the host path '/' (host-root)" in found.reason
    assert "'allow: [host-root]'" in found.reason
    assert made == []


def test_a_published_version_that_mounts_the_host_is_not_the_heads_fault(tmp_path: Path) -> None:
    """The upgrade from it is unverified, and it is not deployed."""
    base = hostile(tree("versions/1.1.0+1.22.1"))
    status, found, made = ran(tmp_path, base, tree("head"), "--stages", "upgrade")
    upgrade = next(stage for stage in found.stages if stage.name == "upgrade")
    assert (status, found.verdict.value, upgrade.outcome) == (16, "infra", "unverified")
    assert "published version 1.1.0+1.22.1 does not deploy" in found.reason
    assert "(host-root)" in found.reason
    assert made == []
