"""A recipe with an empty suite folder, whose head removes a service and adds a secret."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.settings import CHECKOUT
from tests.support import git_repo
from tests.support.run_process import RunProcess, copy_suites

pytestmark = pytest.mark.swarm
SOURCE = CHECKOUT / "sandbox" / "recipes" / "custom-html"
OLD_SERVICE = "  old:\n    image: ccci/nginx:1.22.1\n    networks:\n      - proxy\n\nnetworks:"
SECRET = """
secrets:
  api_key:
    external: true
    name: ${STACK_NAME}_api_key_${SECRET_API_KEY_VERSION}
"""


def commit(folder: Path, tree: Path, **replaced: tuple[str, str]) -> None:
    """Commit a version of the demo recipe under another name, with some texts replaced."""
    shutil.copytree(tree, folder, dirs_exist_ok=True, copy_function=shutil.copy)
    changes = {"sample": ("custom-html", "plain"), **replaced}
    for name, (old, new) in changes.items():
        path = folder / {"sample": ".env.sample", "secret": ".env.sample"}.get(name, "compose.yml")
        path.write_text(path.read_text().replace(old, new))
    git_repo.commit(folder, {}, tree.name)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The recipe's repository: a published version, and a head without one of its services."""
    folder = git_repo.init(tmp_path / "recipes" / "plain")
    commit(
        folder, SOURCE / "versions" / "1.1.0+1.22.1", compose=("\nnetworks:", f"\n{OLD_SERVICE}")
    )
    git_repo.git(folder, "tag", "--annotate", "1.1.0+1.22.1", "--message", "published")
    commit(
        folder,
        SOURCE / "head",
        secret=("TIMEOUT=", "SECRET_API_KEY_VERSION=v1 # length=43\nTIMEOUT="),
        use=("    healthcheck:", "    secrets:\n      - api_key\n    healthcheck:"),
        declare=("\nconfigs:", f"{SECRET}\nconfigs:"),
    )
    return folder


def test_incidents_u5_u9_upgrade_removes_a_dropped_service_and_adds_a_new_secret(
    repository: Path, tmp_path: Path
) -> None:
    """U5, U9; the sentinel survives every operation, and the level is 3 without functional tests."""
    suites = copy_suites(tmp_path / "suites")
    (suites / "plain").mkdir()
    env = {"CCCI_RECIPES_URL": str(tmp_path / "recipes" / "{recipe}")}
    run = RunProcess(suites=suites, env=env).finish()
    assert run.exit_code == 0, run.out
    found = run.report
    notes = "\n".join(found.notes)
    assert "no longer has service 'old': removed" in notes
    assert "SECRET_API_KEY_VERSION" in notes
    assert found.ref == git_repo.git(repository, "rev-parse", "HEAD")
    assert (found.verdict.value, found.level) == ("passed", 3)
    sentinels = [case for case in found.cases if case.id.startswith("the_witness_survives")]
    assert [case.outcome for case in sentinels] == ["pass"] * 4
