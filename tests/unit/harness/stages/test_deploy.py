"""Deploying one version: what is deployed is read once, and which answer counts as healthy."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import RecipeFailure, TimedOut
from harness.recipe.compose import Compose
from harness.recipe.env_file import EnvFile
from harness.runs import preflight
from harness.stages import deploy
from harness.suites.suite_settings import Health, Timeouts
from harness.swarm import containers, converge, engine, images
from tests.unit.harness.stages.stub_run import HEAD, StubRun, stub_app

pytestmark = pytest.mark.usefixtures("moving_clock")

COMPOSE = """\
services:
  app:
    image: hello:${TAG}
    deploy: {labels: ["coop-cloud.${STACK_NAME}.timeout=900", "backupbot.backup=true"]}
    volumes: ["content:/data"]
volumes: {content: }
"""
SAMPLE = "TYPE=hello\nDOMAIN=hello.example.com\nTAG=1\nPOST_DEPLOY_CMDS=app warm_up\n"


class Abra:
    """A fake abra that makes env files and records its calls."""

    def __init__(self, run: StubRun) -> None:
        self.run = run
        self.calls: list[str] = []

    def app_new(self, recipe: str, domain: str) -> None:
        """Copy the sample, as abra does."""
        self.run.env_path(None).write_text(SAMPLE)

    def app_deploy(self, domain: str) -> None:
        """Record it."""
        self.calls.append("deploy")

    def app_cmd(self, domain: str, service: str, function: str, arguments: object) -> None:
        """Record it."""
        self.calls.append(function)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose recipe settles as soon as it is deployed."""
    made: Any = StubRun(tmp_path, env={"TAG": "2"})
    made.abra = Abra(made)
    (made.checkout_dir / "compose.yml").write_text(COMPOSE)
    (made.checkout_dir / ".env.sample").write_text(SAMPLE)
    monkeypatch.setattr(preflight, "check_resources", lambda settings: None)
    monkeypatch.setattr(images, "pull", lambda names, progress: made.notes.extend(names))
    monkeypatch.setattr(engine, "view", lambda stack: engine.StackView(stack, ()))
    monkeypatch.setattr(engine, "nodes", list)
    monkeypatch.setattr(converge, "look", lambda view, history, wanted: wanted == 1)
    return made


def count(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> list[object]:
    """Return a list that grows with each call of a class method."""
    calls: list[object] = []
    original = getattr(owner, name)

    def counted(*words: object) -> object:
        calls.append(words)
        return original(*words)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_what_is_deployed_is_read_once(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The env file is read twice: once to complete what abra wrote, once as abra will read it.

    Before that, admission parses every compose file of the checkout, enabled or not, since abra would.
    """
    loads, reads = (
        count(monkeypatch, Compose, "load"),
        count(monkeypatch, EnvFile, "read"),
    )
    deployment = deploy.deploy(run, stub_app(), HEAD)
    assert (len(loads), len(reads)) == (1, 2)
    assert run.deployments == {"a.ci.test": deployment}
    assert run.abra.calls == ["deploy", "warm_up"]


def test_the_images_pulled_are_those_that_are_deployed(run: Any) -> None:
    """The suite's value of a variable counts, not the sample's."""
    deployment = deploy.deploy(run, stub_app(), HEAD)
    assert run.notes == ["hello:2"] == list(deployment.compose.images)


def test_the_longer_deploy_timeout_counts(run: Any) -> None:
    deployment = deploy.deploy(run, stub_app(), HEAD)
    assert deploy.deploy_timeout(run, deployment) == 900
    run.suite_settings = SimpleNamespace(timeouts=SimpleNamespace(deploy=1200))
    assert deploy.deploy_timeout(run, deployment) == 1200


@pytest.mark.parametrize(
    ("error", "service"),
    [
        (converge.CrashLoop("service 'app' is crash-looping", "app"), "app"),
        (RecipeFailure("rolled back"), "db"),
    ],
)
def test_a_deployment_that_does_not_settle_shows_the_last_log_lines(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: RecipeFailure, service: str
) -> None:
    """Of the service that the error is about, else of the first that has not settled."""

    def look(*words: object, **more: object) -> bool:
        raise error

    monkeypatch.setattr(converge, "look", look)
    monkeypatch.setattr(deploy, "_unsettled", lambda app: "db")
    monkeypatch.setattr(containers, "logs", lambda stack, name, lines: [f"{name}: no licence"])
    message = str(error)
    with pytest.raises(type(error)) as caught:
        deploy.deploy(run, stub_app(), HEAD)
    assert caught.value is error
    assert str(error) == f"{message}\n  last log lines of '{service}':\n  {service}: no licence"


def test_a_timeout_without_a_service_has_no_log(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "look", lambda view, history, wanted: False)
    with pytest.raises(TimedOut) as caught:
        deploy.deploy(run, stub_app(), HEAD)
    assert "last log lines" not in str(caught.value)


def test_incident_r6_the_suite_names_the_health_path(tmp_path: Path) -> None:
    """R6: `/` answers 500 for ever; the suite's path decides. Without one, the 500 is in the message."""
    plausible = stub_app({"/": 500, "/api/health": 200})
    with_path: Any = StubRun(tmp_path, health=Health(path="/api/health"))
    without: Any = StubRun(tmp_path, timeouts=Timeouts(health=5))
    deploy.healthy(with_path, plausible)
    with pytest.raises(RecipeFailure, match="GET / answered 500"):
        deploy.healthy(without, plausible)
