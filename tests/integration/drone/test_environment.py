"""Environment, folders and commands of a step; how `${...}` in commands is replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording, exchanges
from tests.support.poll import until

pytestmark = pytest.mark.contract


def variables(text: str) -> dict[str, str]:
    """Return the variables that `env` printed."""
    return dict(re.findall(r"^([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text, re.MULTILINE))


def test_parameters_reach_the_step_but_cannot_replace_drones_variables(drone: DroneEnv) -> None:
    """Even PATH and LD_PRELOAD reach it."""
    drone.push("params", pipeline("params", step("plain", "/usr/bin/env | /usr/bin/sort")))
    create, build, log = exchanges("build-hostile-params")
    made = drone.call("POST", create["request"]["path"])
    assert_like_recording(made, "build-hostile-params", 0)
    assert made.json()["params"] == create["response"]["body"]["params"]
    number = made.json()["number"]
    drone.finished(number)
    assert_like_recording(drone.build_response(number), "build-hostile-params", 1)
    found = variables(drone.log(number, 2))
    recorded = variables("".join(line["out"] for line in log["response"]["body"]))
    assert set(found) == {*recorded, "FROM_RUNNER"}
    root = f"{drone.runner_root()}/drone-"
    same = [
        key for key, value in recorded.items() if key.islower() or value in ("", "true", "/tmp/x")
    ]
    same += ["PATH", "PYTHONPATH", "USER", "DRONE_FOO", "DRONE_BUILD_TRIGGER", "DRONE_REPO", "IFS"]
    same += ["GIT_TERMINAL_PROMPT", "CI_BUILD_STATUS", "DRONE_BUILD_STATUS", "DRONE_STEP_NUMBER"]
    assert {k: found[k] for k in same} == {k: recorded[k] for k in same}
    assert found["DRONE_BUILD_NUMBER"] == str(number)
    assert found["DRONE_BUILD_LINK"] == f"{drone.url}/ci/cc-ci/{number}"
    assert re.fullmatch(re.escape(root) + "[A-Za-z0-9]{16}/home/drone", found["HOME"])
    assert found["DRONE_WORKSPACE"] == found["PWD"] == found["HOME"][:-10] + "drone/src"
    assert build["response"]["body"]["event"] == "custom"


def test_a_parameter_reaches_the_clone_step(drone: DroneEnv, tmp_path: Path) -> None:
    """With git's own variables a parameter can run a command while cloning."""
    command = f"touch {tmp_path}/ran; false"
    drone.push("gitconfig", pipeline("gitconfig", step("x", "true")))
    config = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "core.fsmonitor"}
    number = drone.create("gitconfig", **config, GIT_CONFIG_VALUE_0=command)
    drone.finished(number)
    assert (tmp_path / "ran").exists()


def test_a_steps_own_environment_overrides_parameters_and_home(drone: DroneEnv) -> None:
    """Its values are not expanded."""
    own = "  environment: {HOME: /root, RECIPE: from-step, EXPAND: $RECIPE/x, NUMBER: 1.10}\n"
    command = 'echo "$HOME $RECIPE $EXPAND $NUMBER $FROM_RUNNER"'
    drone.push("own-env", pipeline("own-env", step("x", command, extra=own)))
    number = drone.create("own-env", RECIPE="from-param", FROM_RUNNER="from-param")
    drone.finished(number)
    assert "/root from-step $RECIPE/x 1.10 from-param\n" in drone.log(number, 2)


def test_variables_in_braces_become_part_of_the_script(drone: DroneEnv, tmp_path: Path) -> None:
    """`${RECIPE}` is replaced before the YAML is parsed, so a parameter can contain a command."""
    drone.push("inject", pipeline("inject", step("x", "echo start", "echo ${RECIPE}")))
    target, name = tmp_path / "injected", "build-brace-substitution-injection"
    path = f"{REPO}/builds?branch=inject"
    made = drone.call("POST", path, params={"RECIPE": f"x; touch {target}"})
    assert_like_recording(made, name, 0, ignore=COMMIT_KEYS)
    number = made.json()["number"]
    drone.finished(number)
    assert target.exists()
    assert f"+ echo x; touch {target}\n" in drone.log(number, 2)


def test_which_dollar_signs_are_replaced(drone: DroneEnv) -> None:
    """`$X` is left to the shell, `$${X}` becomes `${X}`, `$$` becomes `$`, an unset variable is empty."""
    command = 'echo "1 $X" "2 $${X}" \'3 $$X\' "4 ${NOT_SET}." "5 ${X}" 6 ${DRONE_REPO}'
    drone.push("dollars", pipeline("dollars", step("x", command)))
    number = drone.create("dollars", X="value; $(id)", DRONE_REPO="parameters/win")
    drone.finished(number)
    end = drone.log(number, 2).splitlines()[-1]
    assert end.startswith("1 value; $(id) 2 value; $(id) 3 $X 4 . 5 value; uid=")
    assert end.endswith(" 6 parameters/win")


def test_a_bad_substitution_fails_the_stage(drone: DroneEnv) -> None:
    drone.push("badsub", pipeline("badsub", step("x", "echo ${a b}")))
    stage = drone.finished(drone.create("badsub"))["stages"][0]
    assert (stage["status"], stage["exit_code"]) == ("error", 255)
    assert stage["error"] == "bad substitution"


def test_commands_are_printed_before_they_run(drone: DroneEnv) -> None:
    """A command in backticks also runs for the printing."""
    drone.push("trace", pipeline("trace", step("x", "echo $HOME `echo a >> n`\ncat n", "rm n")))
    number = drone.create("trace")
    drone.finished(number)
    log = drone.log(number, 2)
    assert log.startswith("+ echo $HOME \ncat n\n")
    assert log.endswith("\na\na\n+ rm n\n")


def test_a_step_runs_in_the_clone_with_empty_stdin(drone: DroneEnv) -> None:
    """The whole branch is there under its name; the first failing command ends the step."""
    commands = (
        "git rev-parse --abbrev-ref HEAD; git rev-list --count HEAD",
        "cat",
        "false || true",
    )
    drone.push("inside", pipeline("inside", step("x", *commands, "false", "echo not reached")))
    number = drone.create("inside")
    steps = drone.finished(number)["stages"][0]["steps"]
    assert (steps[1]["status"], steps[1]["exit_code"]) == ("failure", 1)
    log = drone.log(number, 2)
    assert "inside\n3\n+ cat\n+ false || true\n+ false\n" in log
    assert "not reached" not in log


def test_the_workspace_is_removed_after_the_build(drone: DroneEnv) -> None:
    drone.push("gone", pipeline("gone", step("x", "echo here=$HOME")))
    number = drone.create("gone")
    drone.finished(number)
    home = re.findall("^here=(.*)/home/drone$", drone.log(number, 2), re.MULTILINE)[0]
    until("the workspace to go", lambda: not Path(home).exists())
