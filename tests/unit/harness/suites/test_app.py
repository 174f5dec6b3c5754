"""The API for suite authors: a failure raises and never returns an empty value."""

from __future__ import annotations

import pytest

from harness import settings
from harness.errors import RecipeFailure
from harness.suites.app import App
from harness.swarm import containers


@pytest.fixture
def app() -> App:
    """An app of which nothing is deployed."""
    return App(
        domain="a.ci.test",
        stack="a_ci_test",
        recipe="hello",
        life="fresh",
        settings=settings.load({"CCCI_SETTINGS": "/dev/null"}),
        progress=lambda line: None,
    )


def test_incident_b4_a_failed_command_raises_with_its_output(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B4: a query that failed looked like an empty result."""
    done = containers.Output(3, "", "no such table: users")
    monkeypatch.setattr(containers, "execute", lambda *words, **options: done)
    with pytest.raises(RecipeFailure, match=r"exited with code 3: no such table: users"):
        app.exec("app", "sqlite3", "x.db", "SELECT 1")


def test_host_is_the_services_container_and_fails_immediately_when_stopped(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control of a test that uses it must not wait."""
    monkeypatch.setattr(containers, "find", lambda stack, service: f"{stack}.{service}")
    assert app.host("db").backend.get_pytest_id() == "docker://a_ci_test.db"
    app.stopped = True
    with pytest.raises(RecipeFailure, match="service 'db' has no container: the app is stopped"):
        app.host("db")
