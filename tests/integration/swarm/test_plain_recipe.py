"""A recipe with an empty suite folder whose head drops a service and needs a new secret."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from harness import settings
from harness.reporting import run_dir
from harness.settings import CHECKOUT

pytestmark = pytest.mark.swarm
FOUND = settings.load(os.environ)
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
DROPPED = "  old:\n    image: ccci/nginx:1.22.1\n    networks:\n      - proxy\n\nnetworks:"
SECRET = """
secrets:
  api_key:
    external: true
    name: ${STACK_NAME}_api_key_${SECRET_API_KEY_VERSION}
"""


def git(folder: Path, *words: str) -> str:
    """Run git in the recipe's repository."""
    parts = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    names = dict.fromkeys(parts, "t@example.com")
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def commit(folder: Path, tree: Path, **replaced: tuple[str, str]) -> None:
    """Commit a tree under the recipe's own name, with some texts replaced."""
    shutil.copytree(tree, folder, dirs_exist_ok=True, copy_function=shutil.copy)
    changes = {"sample": ("custom-html", "plain"), **replaced}
    for name, (old, new) in changes.items():
        path = folder / {"sample": ".env.sample", "secret": ".env.sample"}.get(name, "compose.yml")
        path.write_text(path.read_text().replace(old, new))
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", tree.name)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The recipe's repository: a published version with one service more than the head."""
    folder = tmp_path / "recipes" / "plain"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, SOURCE / "versions" / "1.1.0+1.22.1", compose=("\nnetworks:", f"\n{DROPPED}"))
    git(folder, "tag", "--annotate", "1.1.0+1.22.1", "--message", "published")
    commit(
        folder,
        SOURCE / "head",
        secret=("TIMEOUT=", "SECRET_API_KEY_VERSION=v1 # length=43\nTIMEOUT="),
        use=("    healthcheck:", "    secrets:\n      - api_key\n    healthcheck:"),
        declare=("\nconfigs:", f"{SECRET}\nconfigs:"),
    )
    return folder


def test_incidents_u5_u9_a_plain_recipe_with_a_dropped_service_and_a_new_secret(
    repository: Path, tmp_path: Path
) -> None:
    """U5, U9: the dropped service is removed, the new secret made; the witness survives; level 3."""
    suites = tmp_path / "suites"
    (suites / "plain").mkdir(parents=True)
    shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", suites)
    run = f"test-{uuid.uuid4().hex[:8]}"
    env = {
        **os.environ,
        "CCCI_SUITES_DIR": str(suites),
        "CCCI_RECIPES_URL": str(tmp_path / "recipes" / "{recipe}"),
        "DRONE_BUILD_NUMBER": run,
    }
    words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini"), str(suites)]
    done = subprocess.run(
        [*words, "--rootdir", str(CHECKOUT), "-p", "harness.plugin", "-p", "no:cacheprovider"],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    found = run_dir.read(FOUND.runs_dir / run)
    notes = "\n".join(found.notes)
    assert "no longer has service 'old': removed" in notes
    assert "SECRET_API_KEY_VERSION" in notes
    assert found.ref == git(repository, "rev-parse", "HEAD")
    assert (found.verdict.value, found.level) == ("passed", 3)
    witnesses = [case for case in found.cases if case.id.startswith("the_witness_survives")]
    assert [case.outcome for case in witnesses] == ["pass"] * 4
