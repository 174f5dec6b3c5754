"""Fixtures of git tests: a recipe's repository, a fork of it, and the folder of a checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import git_repo
from tests.unit.harness.recipe.repository import Repository


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """Return a recipe's repository with a published version and a newer commit."""
    repository = Repository(tmp_path / "upstream")
    repository.commit(compose_yml="one")
    repository.git("tag", "--annotate", "--message", "x", "1.0.0+1")
    repository.commit(compose_yml="two")
    return repository


@pytest.fixture
def fork(tmp_path: Path, upstream: Repository) -> Repository:
    """Return a fork with one more commit, as a pull request has."""
    git_repo.git(tmp_path, "clone", "--quiet", upstream.url, str(tmp_path / "fork"))
    repository = Repository(tmp_path / "fork")
    repository.commit(compose_yml="three")
    return repository


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The folder of a run's checkout."""
    return tmp_path / "run" / "abra" / "recipes" / "r"
