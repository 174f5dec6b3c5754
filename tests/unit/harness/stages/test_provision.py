"""The env file that an operator would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.recipe.env_file import EnvFile
from harness.stages import provision
from tests.unit.harness.stages.stub_run import StubRun, stub_app

MAILU = "TYPE=mailu\nDOMAIN=mailu.example.com\nTLS_FLAVOR=cert\n"


def written(folder: Path, **settings: Any) -> tuple[Any, EnvFile]:
    """Return a run that prepared a deployment, and the env file on the disk."""
    run: Any = StubRun(folder, **settings)
    (run.checkout_dir / "compose.yml").write_text("services: {app: {image: 'mailu:${TAG:-1}'}}\n")
    (run.checkout_dir / ".env.sample").write_text(MAILU)
    run.env_path(None).write_text(MAILU)
    provision.prepare(run, stub_app())
    return run, EnvFile.read(run.env_path(None))


def test_incident_n4_a_suites_values_reach_the_app(tmp_path: Path) -> None:
    """N4: a recipe that needs a value on a host without ACME sets it in its own recipe.yml."""
    run, env = written(tmp_path, env={"TLS_FLAVOR": "notls"})
    assert (env.get("TLS_FLAVOR"), env.get("DOMAIN")) == ("notls", "a.ci.test")
    assert env.get("LETS_ENCRYPT_ENV") == ""
    assert run.deployments["a.ci.test"].env == env


def test_an_upgrade_adds_what_is_new_in_the_heads_sample(tmp_path: Path) -> None:
    """The published deployment keeps its own sample and compose files; those of the head are read then."""
    run, _ = written(tmp_path)
    published = run.deployments["a.ci.test"]
    (run.checkout_dir / ".env.sample").write_text(f"{MAILU}TAG=2\nURL=https://hello.example.com\n")
    head = provision.prepare_upgrade(run, published)
    assert head.env.get("URL") == "https://a.ci.test"
    assert (published.compose.images, head.compose.images) == (("mailu:1",), ("mailu:2",))
    assert (published.sample, run.deployments["a.ci.test"]) == (MAILU, head)
    assert run.notes == ["new in the head's .env.sample: TAG", "new in the head's .env.sample: URL"]
