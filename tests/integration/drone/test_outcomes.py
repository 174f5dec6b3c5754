"""How builds look at each point of their life, and after each kind of end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import like
from tests.support.poll import until

pytestmark = pytest.mark.contract

OWN_TEXT = ("message", "ref", "source", "target")
LIMIT = "concurrency: {limit: 2}\n"
ON_FAILURE = "  when:\n    status: [failure]\n"


def shown(drone: Place, number: int, name: str, at: int = 0) -> None:
    """Require that a finished build looks as recorded."""
    drone.over(number)
    like(drone.call("GET", f"{REPO}/builds/{number}"), name, at, but=OWN_TEXT)


def test_success(drone: Place) -> None:
    """All steps passed."""
    drone.push("ok", pipeline("ok", step("plain", "true"), step("home", "true")))
    shown(drone, drone.create("ok", A="1"), "build-success")


def test_failure_skips_and_runs_the_step_for_it(drone: Place) -> None:
    """After a failure a plain step is skipped and one for failures runs."""
    steps = [step("one", "exit 3"), step("two", "true")]
    steps += [step("onfail", 'test "$DRONE_FAILED_STEPS" = one', extra=ON_FAILURE)]
    drone.push("fail", pipeline("fail", *steps))
    shown(drone, drone.create("fail"), "build-failure")


def test_the_exit_code_is_the_steps(drone: Place) -> None:
    """A step that exits 5 leaves the stage's exit code at 0."""
    drone.push("five", pipeline("recipe-ci", step("run", "exit 5"), extra=LIMIT))
    shown(drone, drone.create("five", A="1"), "build-failure-exit-code")


def test_exit_78_passes_and_skips_the_rest(drone: Place) -> None:
    """The build is a success; the step keeps its 78."""
    drone.push("exit78", pipeline("exit78", step("one", "exit 78"), step("two", "exit 1")))
    shown(drone, drone.create("exit78"), "build-exit-78")


def test_an_ignored_failure_does_not_count(drone: Place) -> None:
    """The step shows that it failed and that this was ignored; the next one runs."""
    ignored = step("ign", "exit 5", extra="  failure: ignore\n")
    drone.push("ignore", pipeline("ignore", ignored, step("after", "true")))
    build = drone.over(drone.create("ignore"))
    _, first, second = build["stages"][0]["steps"]
    assert build["status"] == build["stages"][0]["status"] == second["status"] == "success"
    assert (first["status"], first["exit_code"], first["errignore"]) == ("failure", 5, True)


def test_a_step_for_another_event_or_branch_is_not_there(drone: Place) -> None:
    """Such a step is left out, and the others are numbered without it."""
    other = [step("e", "true", extra="  when: {event: [push]}\n")]
    other += [step("b", "true", extra="  when: {branch: [zzz]}\n")]
    drone.push("when", pipeline("when", *other, step("last", "true")))
    steps = drone.over(drone.create("when"))["stages"][0]["steps"]
    assert [(s["number"], s["name"]) for s in steps] == [(1, "clone"), (2, "last")]


def test_a_commit_off_the_branch_fails_in_the_clone_step(drone: Place) -> None:
    """The call is accepted; cloning fails with 128 and the steps are skipped."""
    sha = drone.push("off", pipeline("env", step("plain", "true"), step("home", "true")))
    name, path = "build-commit-not-on-branch", f"{REPO}/builds?branch=main&commit={sha}&A=1"
    made = drone.call("POST", path)
    like(made, name, 0, but=OWN_TEXT)
    shown(drone, made.json()["number"], name, 1)
    log = drone.log(made.json()["number"], 1)
    assert f"fatal: reference is not a tree: {sha}" in log
    assert "+ git fetch  origin +refs/heads/main:\n" in log


def test_two_pipelines_are_two_stages(drone: Place) -> None:
    """Each matching pipeline is a stage, and one failure is the build's."""
    yml = pipeline("a", step("x", "exit 3")) + "---\n" + pipeline("b", step("x", "true"))
    drone.push("two", yml)
    build = drone.over(drone.create("two"))
    found = [(s["number"], s["name"], s["status"]) for s in build["stages"]]
    assert found == [(1, "a", "failure"), (2, "b", "success")]
    assert build["status"] == "failure"


def test_a_running_step(drone: Place, tmp_path: Path) -> None:
    """While a step runs the build and the stage do, and the step has no end yet."""
    until_told = 'until [ -e "$GO" ]; do sleep 0.1; done'
    drone.push("running", pipeline("recipe-ci", step("run", until_told), extra=LIMIT))
    go = tmp_path / "go"
    number = drone.create("running", GO=str(go))

    def running() -> bool:
        stages = drone.build(number).get("stages", [{}])
        return [s["status"] for s in stages[0].get("steps", [])] == ["success", "running"]

    until("the step to run", running, within=40)
    like(drone.call("GET", f"{REPO}/builds/{number}"), "build-running", but=OWN_TEXT)
    log = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2")
    like(log, "logs-while-running")
    assert drone.call("GET", f"{REPO}/builds/{number}/logs/1/1").status_code == 200
    go.touch()
    assert drone.over(number)["status"] == "success"


def test_a_parameter_that_breaks_the_yaml_ends_the_stage(drone: Place) -> None:
    """The build is made, then its stage ends as error before any step."""
    drone.push("breaks", pipeline("inject", "- name: x\n  commands:\n  - echo ${RECIPE}\n"))
    number = drone.create("breaks", RECIPE='a: "b')
    shown(drone, number, "build-stage-error")
    assert drone.build(number)["stages"][0]["error"].startswith("yaml: ")


def test_a_parameter_that_no_shell_can_be_started_with(drone: Place) -> None:
    """A NUL in a parameter ends the clone step, and with it the stage, as error."""
    drone.push("nul", pipeline("nul", step("x", "true")))
    build = drone.over(drone.create("nul", A="a\0b"))
    clone, one = build["stages"][0]["steps"]
    assert build["status"] == build["stages"][0]["status"] == clone["status"] == "error"
    assert (clone["exit_code"], one["status"]) == (255, "skipped")
    assert clone["error"] == build["stages"][0]["error"]
    assert drone.call("GET", f"{REPO}/builds/{build['number']}/logs/1/2").status_code == 404


def test_a_shell_that_dies_by_a_signal(drone: Place) -> None:
    """Its exit code is -1."""
    drone.push("signal", pipeline("signal", step("x", "kill -9 $$$$")))
    one = drone.over(drone.create("signal"))["stages"][0]["steps"][1]
    assert (one["status"], one["exit_code"]) == ("failure", -1)
