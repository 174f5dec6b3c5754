"""What the harness relies on in `app run`, `app cmd`, `app ls` and `app ps`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import lower, machine, stack
from tests.integration.abra.conftest import Live

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_run_shows_the_containers_output(live: Live) -> None:
    """A command runs in the service's container, and its output comes back."""
    done = live.world.abra("app", "run", "-n", "-t", live.domain, "app", "--", "cat", "/conf.txt")
    assert "configured" in done.out


def test_run_fails_when_the_command_fails(live: Live) -> None:
    """A failing command is a failing `app run`."""
    done = live.world.abra("app", "run", "-n", "-t", live.domain, "app", "--", "false", status=None)
    assert done.exit_code != 0


def test_generated_secrets_are_what_the_container_sees(live: Live) -> None:
    """The value that `generate -m` printed is the one inside."""
    words = ["app", "run", "-n", "-t", live.domain, "app", "--", "cat"]
    for name, value in live.secrets.items():
        same = value in live.world.abra(*words, f"/run/secrets/{name}").out
        assert same, f"the container sees another value of '{name}'"


def test_run_without_a_service_is_refused(live: Live) -> None:
    """A service that the app does not have is fatal."""
    live.world.refused("app", "run", "-n", "-t", live.domain, "nope", "--", "true", saying="")


def test_cmd_runs_a_function_with_its_variables(live: Live) -> None:
    """The function sees APP_NAME, STACK_NAME, TARGET and its arguments."""
    words = ["app", "cmd", "-n", "-C", "-t", live.domain, "app", "greet", "--", "hello"]
    done = live.world.abra(*words)
    expected = f"greet app={live.domain} stack={stack(live.domain)} target=app given=hello"
    assert expected in done.text


def test_cmd_uses_bash_where_there_is_one(live: Live) -> None:
    """The image has bash, so bash runs the function."""
    done = live.world.abra("app", "cmd", "-n", "-C", "-t", live.domain, "app", "shell")
    assert "bash=yes" in done.text


def test_cmd_fails_when_its_function_fails(live: Live) -> None:
    """A function's failure is fatal, and so is a function that is not there."""
    live.world.refused("app", "cmd", "-n", "-C", "-t", live.domain, "app", "fail", saying="")
    live.world.refused("app", "cmd", "-n", "-C", "-t", live.domain, "app", "none", saying="")


def test_ls_shows_a_deployed_app(live: Live) -> None:
    """Each app is an object of texts below its server; status says deployed."""
    found = machine(live.world.abra("app", "ls", "-n", "-m", "-S"))
    (app,) = (a for a in found["default"]["apps"] if a["appName"] == live.domain)
    assert app["status"] == "deployed"
    assert app["recipe"] == "contract"
    assert app["chaos"] == "true"
    assert live.world.head().startswith(app["chaosVersion"].removesuffix("+U"))
    assert all(isinstance(value, str) for value in app.values())


def test_ps_shows_the_service(live: Live) -> None:
    """Each service is an object of texts below its name."""
    found = machine(live.world.abra("app", "ps", "-n", "-m", "-C", live.domain))
    rows = {name: lower(row) for name, row in found.items()}
    (name,) = rows
    assert name.endswith("app")
    assert rows[name]["state"] == "running"
    assert rows[name]["image"].startswith("ccci/")
