"""The stand-in's view of compose files, and what it lays over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.standins.abra.commands import deploy
from sandbox.standins.abra.files import compose
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal


def test_a_later_file_adds_to_an_earlier_one(tmp_path: Path) -> None:
    """Mappings are merged key by key, everything else is replaced."""
    (tmp_path / "a.yml").write_text("services: {app: {image: a, deploy: {replicas: 1}}}\n")
    (tmp_path / "b.yml").write_text("services: {app: {image: b}, db: {image: c}}\n")
    found = compose.load([tmp_path / "a.yml", tmp_path / "b.yml"])
    assert found.services == {
        "app": {"image": "b", "deploy": {"replicas": 1}},
        "db": {"image": "c"},
    }


def test_compose_file_names_what_is_enabled() -> None:
    """Without COMPOSE_FILE only compose.yml counts."""
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


def test_written_out_durations_pass() -> None:
    """Plain durations, compound ones too, are no complaint."""
    services = {"app": {"stop_grace_period": "1m30s", "healthcheck": {"interval": "1s"}}}
    assert compose.bad_durations({"services": services}) == []


def test_a_dependency_on_nothing_is_fatal(tmp_path: Path) -> None:
    """A `depends_on` without its service breaks loading."""
    path = tmp_path / "compose.yml"
    path.write_text("services: {app: {image: a, depends_on: [db]}}\n")
    with pytest.raises(Fatal, match='depends on undefined service "db"'):
        compose.load([path])


def test_the_override_labels_the_app_and_spares_published_services() -> None:
    """Chaos labels go to `app`; the endpoint mode to each service without an ingress port."""
    services = {
        "app": {"ports": [{"target": 80, "published": 80, "mode": "host"}]},
        "web": {"ports": ["80:80"]},
        "db": None,
    }
    found = Compose((), {"version": "3.8", "services": services})
    tree = deploy.override(
        found, "st", recipe="demo", version="", chaos_version="0123abcd+U", mode="dnsrr"
    )
    assert tree["version"] == "3.8"
    assert tree["services"] == {
        "app": {
            "deploy": {
                "endpoint_mode": "dnsrr",
                "labels": {
                    "coop-cloud.st.recipe": "demo",
                    "coop-cloud.st.chaos": "true",
                    "coop-cloud.st.chaos-version": "0123abcd+U",
                },
            }
        },
        "db": {"deploy": {"endpoint_mode": "dnsrr"}},
    }


def test_a_release_is_labelled_with_its_version() -> None:
    """Without chaos the version label is the release's, and chaos is false."""
    found = Compose((), {"services": {"app": {"image": "a"}}})
    tree = deploy.override(found, "st", recipe="demo", version="1.0.0+1", chaos_version="", mode="")
    assert tree == {
        "services": {
            "app": {
                "deploy": {
                    "labels": {
                        "coop-cloud.st.recipe": "demo",
                        "coop-cloud.st.chaos": "false",
                        "coop-cloud.st.version": "1.0.0+1",
                    }
                }
            }
        }
    }
