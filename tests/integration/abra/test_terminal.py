"""What the harness assumes about terminals, and what the stand-in refuses."""

from __future__ import annotations

import os

import pytest

from harness.host import proc
from tests.integration.abra.abra_env import STAND_IN, AbraEnv
from tests.integration.abra.conftest import SharedApp

pytestmark = [pytest.mark.swarm, pytest.mark.contract]

standin_only = pytest.mark.skipif(
    os.environ.get("CCCI_ABRA", str(STAND_IN)) != str(STAND_IN),
    reason="a real abra may accept more than the stand-in does",
)


def test_version_prints_abra_version() -> None:
    program = os.environ.get("CCCI_ABRA", str(STAND_IN))
    done = proc.run([program, "--version"], timeout=20.0, terminal=True)
    assert done.out.startswith("abra version ")


@standin_only
@pytest.mark.parametrize(
    "words",
    [
        ["app", "new", "-n", "-o", "-C", "-s", "default", "-D", "x.ci.test", "contract"],
        ["app", "deploy", "-n", "-o", "-C", "-D", "-c", "x.ci.test"],
        ["app", "undeploy", "-n", "x.ci.test"],
        ["app", "secret", "ls", "-n", "-o", "-C", "-m", "x.ci.test"],
        ["app", "volume", "rm", "-n", "-f", "x.ci.test"],
        ["recipe", "lint", "-n", "contract"],
    ],
)
def test_without_a_terminal_a_command_is_refused(env: AbraEnv, words: list[str]) -> None:
    """Even with `-n`."""
    env.assert_refused(*words, message="inappropriate ioctl for device", terminal=False)


@standin_only
@pytest.mark.parametrize("words", [["backup", "create", "-n"], ["restore", "-n", "-C"]])
def test_without_a_terminal_commands_in_containers_are_refused(
    shared_app: SharedApp, words: list[str]
) -> None:
    """So is `app run` without `-t`."""
    message = "the input device is not a TTY"
    shared_app.env.assert_refused("app", *words, shared_app.domain, message=message, terminal=False)
    run = ["app", "run", "-n", shared_app.domain, "app", "--", "true"]
    shared_app.env.assert_refused(*run, message=message, terminal=False)


@standin_only
def test_unsupported_commands_and_flags_are_refused(env: AbraEnv) -> None:
    env.assert_refused("app", "upgrade", "-n", "x.ci.test", message="does not support")
    env.assert_refused("app", "undeploy", "-n", "-p", "x.ci.test", message="unknown shorthand flag")
