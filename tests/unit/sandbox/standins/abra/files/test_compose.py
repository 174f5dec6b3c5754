"""Reading, merging and checking compose files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.standins.abra.files import compose
from sandbox.standins.abra.log import Fatal


def test_mappings_are_merged_and_everything_else_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("services: {app: {image: a, deploy: {replicas: 1}}}\n")
    (tmp_path / "b.yml").write_text("services: {app: {image: b}, db: {image: c}}\n")
    found = compose.load([tmp_path / "a.yml", tmp_path / "b.yml"])
    assert found.services == {
        "app": {"image": "b", "deploy": {"replicas": 1}},
        "db": {"image": "c"},
    }


def test_compose_file_names_the_enabled_files() -> None:
    folder = Path("/r")
    assert compose.enabled(folder, {}) == (folder / "compose.yml",)
    assert compose.enabled(folder, {"COMPOSE_FILE": "compose.yml:compose.x.yml"}) == (
        folder / "compose.yml",
        folder / "compose.x.yml",
    )


def test_a_duration_with_a_variable_is_fatal(tmp_path: Path) -> None:
    """abra checks durations before it replaces variables."""
    path = tmp_path / "compose.yml"
    path.write_text("services: {app: {healthcheck: {start_period: '${START}'}}}\n")
    with pytest.raises(Fatal, match="start_period Does not match format 'duration'"):
        compose.load([path])


def test_literal_durations_are_valid() -> None:
    services = {"app": {"stop_grace_period": "1m30s", "healthcheck": {"interval": "1s"}}}
    assert compose.bad_durations({"services": services}) == []


def test_a_dependency_on_a_missing_service_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    path.write_text("services: {app: {image: a, depends_on: [db]}}\n")
    with pytest.raises(Fatal, match='depends on undefined service "db"'):
        compose.load([path])
