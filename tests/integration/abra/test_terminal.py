"""What the harness assumes about terminals, and about an abra it does not know."""

from __future__ import annotations

import os

import pytest

from tests.integration.abra.abra_env import STAND_IN, World
from tests.integration.abra.conftest import Live

pytestmark = [pytest.mark.swarm, pytest.mark.contract]

harsh = pytest.mark.skipif(
    os.environ.get("CCCI_ABRA", str(STAND_IN)) != str(STAND_IN),
    reason="a real abra may be kinder; this states how harsh the stand-in is",
)


def test_the_version_names_abra() -> None:
    """`--version` prints one line that begins with `abra version`."""
    from harness.host import proc

    program = os.environ.get("CCCI_ABRA", str(STAND_IN))
    done = proc.run([program, "--version"], timeout=20.0, terminal=True)
    assert done.out.startswith("abra version ")


@harsh
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
def test_without_a_terminal_a_command_is_refused(world: World, words: list[str]) -> None:
    """Even with `-n` several commands want a terminal."""
    world.refused(*words, saying="inappropriate ioctl for device", terminal=False)


@harsh
@pytest.mark.parametrize("words", [["backup", "create", "-n"], ["restore", "-n", "-C"]])
def test_without_a_terminal_nothing_is_run_on_one(live: Live, words: list[str]) -> None:
    """What the bot does needs a terminal, and so does `app run` without `-t`."""
    says = "the input device is not a TTY"
    live.world.refused("app", *words, live.domain, saying=says, terminal=False)
    run = ["app", "run", "-n", live.domain, "app", "--", "true"]
    live.world.refused(*run, saying=says, terminal=False)


@harsh
def test_what_is_not_modelled_is_refused(world: World) -> None:
    """The stand-in never pretends to know a command or a flag."""
    world.refused("app", "upgrade", "-n", "x.ci.test", saying="does not support")
    world.refused("app", "undeploy", "-n", "-p", "x.ci.test", saying="unknown shorthand flag")
