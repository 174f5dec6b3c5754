"""What a suite's author holds in hand: an app whose answers are never empty by accident."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness import settings
from harness.errors import RecipeFailure, TimedOut
from harness.suites.app import App
from harness.swarm import containers, engine


@pytest.fixture
def app() -> App:
    """An app that nothing was deployed for."""
    return App(
        domain="a.ci.test",
        stack="a_ci_test",
        recipe="hello",
        life="fresh",
        settings=settings.load({"CCCI_SETTINGS": "/dev/null"}),
        progress=lambda line: None,
    )


def test_incident_b4_a_command_that_fails_is_no_empty_answer(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B4: a status other than 0 raises, with what the command said."""
    done = containers.Output(3, "", "no such table: users")
    monkeypatch.setattr(containers, "execute", lambda *words, **options: done)
    with pytest.raises(RecipeFailure, match=r"status 3(.|\n)*no such table: users"):
        app.exec("app", "sqlite3", "x.db", "SELECT 1")


@pytest.mark.usefixtures("moving_clock")
def test_incident_b4_a_container_that_does_not_come_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B4: without a running container there is a bound and a sentence, never an empty value."""
    stopped = SimpleNamespace(tasks=(SimpleNamespace(running=False, state="failed"),))
    view: Any = SimpleNamespace(service=lambda name: stopped)
    monkeypatch.setattr(engine, "view", lambda stack: view)
    with pytest.raises(TimedOut, match=r"running container of 's_app'; last seen: failed"):
        containers.find("s", "app")


def test_testinfra_looks_into_the_services_container(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a stopped app it fails immediately, so a test that uses it has a quick negative control."""
    monkeypatch.setattr(containers, "find", lambda stack, service: f"{stack}.{service}")
    assert app.host("db").backend.get_pytest_id() == "docker://a_ci_test.db"
    app.stopped = True
    with pytest.raises(RecipeFailure, match="service 'db' has no container: the app is stopped"):
        app.host("db")
