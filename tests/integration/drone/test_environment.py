"""What a step finds: its environment, its folders, and its text after `${...}` was replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import exchanges, like
from tests.support.poll import until

pytestmark = pytest.mark.contract

OWN_TEXT = ("ref", "source", "target")


def variables(text: str) -> dict[str, str]:
    """Return the variables that `env` printed."""
    return dict(re.findall(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text, re.MULTILINE))


def test_hostile_parameters(drone: Place) -> None:
    """Parameters reach the step, PATH and LD_PRELOAD too; what Drone itself sets is safe."""
    drone.push("params", pipeline("params", step("plain", "/usr/bin/env | /usr/bin/sort")))
    create, build, log = exchanges("build-hostile-params")
    made = drone.call("POST", create["request"]["path"])
    like(made, "build-hostile-params", 0)
    assert made.json()["params"] == create["response"]["body"]["params"]
    number = made.json()["number"]
    drone.over(number)
    like(drone.call("GET", f"{REPO}/builds/{number}"), "build-hostile-params", 1)
    found = variables(drone.log(number, 2))
    told = variables("".join(line["out"] for line in log["response"]["body"]))
    assert set(found) == {*told, "FROM_RUNNER"}
    root = f"{drone.runner_root()}/drone-"
    same = [key for key, value in told.items() if key.islower() or value in ("", "true", "/tmp/x")]
    same += ["PATH", "PYTHONPATH", "USER", "DRONE_FOO", "DRONE_BUILD_TRIGGER", "DRONE_REPO", "IFS"]
    same += ["GIT_TERMINAL_PROMPT", "CI_BUILD_STATUS", "DRONE_BUILD_STATUS", "DRONE_STEP_NUMBER"]
    assert {k: found[k] for k in same} == {k: told[k] for k in same}
    assert found["DRONE_BUILD_NUMBER"] == str(number)
    assert found["DRONE_BUILD_LINK"] == f"{drone.url}/ci/cc-ci/{number}"
    assert re.fullmatch(re.escape(root) + "[A-Za-z0-9]{16}/home/drone", found["HOME"])
    assert found["DRONE_WORKSPACE"] == found["PWD"] == found["HOME"][:-10] + "drone/src"
    assert build["response"]["body"]["event"] == "custom"


def test_a_parameter_reaches_the_clone_step(drone: Place, tmp_path: Path) -> None:
    """Git's own variables let a parameter run a command while cloning."""
    command = f"touch {tmp_path}/ran; false"
    drone.push("gitconfig", pipeline("gitconfig", step("x", "true")))
    config = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor"}
    number = drone.create("gitconfig", **config, GIT_CONFIG_VALUE_0=command)
    drone.over(number)
    assert (tmp_path / "ran").exists()


def test_a_steps_own_environment(drone: Place) -> None:
    """It hides a parameter of the same name and HOME, and is not expanded."""
    own = "  environment: {HOME: /root, RECIPE: from-step, EXPAND: $RECIPE/x, NUMBER: 1.10}\n"
    tell = 'echo "$HOME $RECIPE $EXPAND $NUMBER $FROM_RUNNER"'
    drone.push("own-env", pipeline("own-env", step("x", tell, extra=own)))
    number = drone.create("own-env", RECIPE="from-param", FROM_RUNNER="from-param")
    drone.over(number)
    assert "/root from-step $RECIPE/x 1.10 from-param\n" in drone.log(number, 2)


def test_braces_become_part_of_the_script(drone: Place, tmp_path: Path) -> None:
    """`${RECIPE}` is replaced before the YAML is read: a parameter can hold a command."""
    drone.push("inject", pipeline("inject", step("x", "echo start", "echo ${RECIPE}")))
    target, name = tmp_path / "injected", "build-brace-substitution-injection"
    path = f"{REPO}/builds?branch=inject"
    made = drone.call("POST", path, params={"RECIPE": f"x; touch {target}"})
    like(made, name, 0, but=("message", "ref", "source", "target"))
    number = made.json()["number"]
    drone.over(number)
    assert target.exists()
    assert f"+ echo x; touch {target}\n" in drone.log(number, 2)


def test_dollars(drone: Place) -> None:
    """`$X` is the shell's, `$${X}` becomes `${X}`, two dollars become one, unset is nothing."""
    tell = 'echo "1 $X" "2 $${X}" \'3 $$X\' "4 ${NOT_SET}." "5 ${X}" 6 ${DRONE_REPO}'
    drone.push("dollars", pipeline("dollars", step("x", tell)))
    number = drone.create("dollars", X="value; $(id)", DRONE_REPO="parameters/win")
    drone.over(number)
    end = drone.log(number, 2).splitlines()[-1]
    assert end.startswith("1 value; $(id) 2 value; $(id) 3 $X 4 . 5 value; uid=")
    assert end.endswith(" 6 parameters/win")


def test_a_bad_substitution_ends_the_stage(drone: Place) -> None:
    """Braces that hold no name are an error of the stage."""
    drone.push("badsub", pipeline("badsub", step("x", "echo ${a b}")))
    stage = drone.over(drone.create("badsub"))["stages"][0]
    assert (stage["status"], stage["exit_code"]) == ("error", 255)
    assert stage["error"] == "bad substitution"


def test_commands_are_shown_before_they_run(drone: Place) -> None:
    """A shown command keeps its dollars, but what is in backticks runs for it as well."""
    drone.push("trace", pipeline("trace", step("x", "echo $HOME `echo a >> n`\ncat n", "rm n")))
    number = drone.create("trace")
    drone.over(number)
    log = drone.log(number, 2)
    assert log.startswith("+ echo $HOME \ncat n\n")
    assert log.endswith("\na\na\n+ rm n\n")


def test_a_step_runs_in_the_clone_with_no_input(drone: Place) -> None:
    """The whole branch is there under its name, stdin is empty, the first failure ends the step."""
    commands = (
        "git rev-parse --abbrev-ref HEAD; git rev-list --count HEAD",
        "cat",
        "false || true",
    )
    drone.push("inside", pipeline("inside", step("x", *commands, "false", "echo not reached")))
    number = drone.create("inside")
    steps = drone.over(number)["stages"][0]["steps"]
    assert (steps[1]["status"], steps[1]["exit_code"]) == ("failure", 1)
    log = drone.log(number, 2)
    assert "inside\n3\n+ cat\n+ false || true\n+ false\n" in log
    assert "not reached" not in log


def test_the_workspace_is_removed(drone: Place) -> None:
    """After the end nothing of the folders is left."""
    drone.push("gone", pipeline("gone", step("x", "echo here=$HOME")))
    number = drone.create("gone")
    drone.over(number)
    home = re.findall("^here=(.*)/home/drone$", drone.log(number, 2), re.MULTILINE)[0]
    until("the workspace to go", lambda: not Path(home).exists())
