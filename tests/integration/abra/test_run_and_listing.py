"""What the harness relies on in `app run`, `app cmd`, `app ls` and `app ps`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import normalized, parse_json, stack_name
from tests.integration.abra.conftest import SharedApp

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_run_prints_the_output_of_the_command(shared_app: SharedApp) -> None:
    done = shared_app.env.run(
        "app", "run", "-n", "-t", shared_app.domain, "app", "--", "cat", "/conf.txt"
    )
    assert "configured" in done.out


def test_run_fails_if_the_command_fails(shared_app: SharedApp) -> None:
    done = shared_app.env.run(
        "app", "run", "-n", "-t", shared_app.domain, "app", "--", "false", exit_code=None
    )
    assert done.exit_code != 0


def test_the_container_sees_the_generated_secrets(shared_app: SharedApp) -> None:
    words = ["app", "run", "-n", "-t", shared_app.domain, "app", "--", "cat"]
    for name, value in shared_app.secrets.items():
        same = value in shared_app.env.run(*words, f"/run/secrets/{name}").out
        assert same, f"the container sees another value of '{name}'"


def test_run_in_an_unknown_service_is_refused(shared_app: SharedApp) -> None:
    shared_app.env.assert_refused(
        "app", "run", "-n", "-t", shared_app.domain, "nope", "--", "true", message=""
    )


def test_cmd_runs_a_function_of_abra_sh_with_its_variables(shared_app: SharedApp) -> None:
    words = ["app", "cmd", "-n", "-C", "-t", shared_app.domain, "app", "greet", "--", "hello"]
    done = shared_app.env.run(*words)
    expected = f"greet app={shared_app.domain} stack={stack_name(shared_app.domain)} target=app given=hello"
    assert expected in done.text


def test_cmd_uses_bash_if_the_image_has_it(shared_app: SharedApp) -> None:
    done = shared_app.env.run("app", "cmd", "-n", "-C", "-t", shared_app.domain, "app", "shell")
    assert "bash=yes" in done.text


def test_cmd_fails_if_the_function_fails_or_is_missing(shared_app: SharedApp) -> None:
    shared_app.env.assert_refused(
        "app", "cmd", "-n", "-C", "-t", shared_app.domain, "app", "fail", message=""
    )
    shared_app.env.assert_refused(
        "app", "cmd", "-n", "-C", "-t", shared_app.domain, "app", "none", message=""
    )


def test_ls_lists_a_deployed_app(shared_app: SharedApp) -> None:
    found = parse_json(shared_app.env.run("app", "ls", "-n", "-m", "-S"))
    (app,) = (a for a in found["default"]["apps"] if a["appName"] == shared_app.domain)
    assert app["status"] == "deployed"
    assert app["recipe"] == "contract"
    assert app["chaos"] == "true"
    assert shared_app.env.head().startswith(app["chaosVersion"].removesuffix("+U"))
    assert all(isinstance(value, str) for value in app.values())


def test_ps_lists_the_services(shared_app: SharedApp) -> None:
    found = parse_json(shared_app.env.run("app", "ps", "-n", "-m", "-C", shared_app.domain))
    rows = {name: normalized(row) for name, row in found.items()}
    (name,) = rows
    assert name.endswith("app")
    assert rows[name]["state"] == "running"
    assert rows[name]["image"].startswith("ccci/")
