"""The override file: labels of abra, and the endpoint mode of this machine."""

from __future__ import annotations

from pathlib import Path

from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.recipe.override import endpoint_mode, override


def test_a_chaos_deploy_gets_labels_and_the_endpoint_mode() -> None:
    """A service with a port in the routing mesh keeps its endpoint mode: Docker refuses dnsrr there."""
    services = {
        "app": {"ports": [{"target": 80, "published": 80, "mode": "host"}]},
        "web": {"ports": ["80:80"]},
        "db": None,
    }
    merged = Compose((), {"version": "3.8", "services": services})
    tree = override(
        merged, "st", recipe="demo", version="", chaos_version="0123abcd+U", mode="dnsrr"
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


def test_a_release_gets_its_version_as_label() -> None:
    merged = Compose((), {"services": {"app": {"image": "a"}}})
    tree = override(merged, "st", recipe="demo", version="1.0.0+1", chaos_version="", mode="")
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


def test_the_endpoint_mode_falls_back_to_the_settings_file(tmp_path: Path) -> None:
    """The environment wins, even with an empty value."""
    settings = tmp_path / "settings.env"
    settings.write_text("# sandbox\nCCCI_ENDPOINT_MODE=dnsrr\n")
    named = {"CCCI_SETTINGS": str(settings)}
    assert endpoint_mode(named) == "dnsrr"
    assert endpoint_mode({**named, "CCCI_ENDPOINT_MODE": ""}) == ""
