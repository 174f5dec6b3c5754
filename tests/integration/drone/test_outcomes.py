"""The JSON of builds: while they run, and after each way to finish."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording
from tests.support.poll import until

pytestmark = pytest.mark.contract

LIMIT = "concurrency: {limit: 2}\n"
ON_FAILURE = "  when:\n    status: [failure]\n"


def assert_finished_like(drone: DroneEnv, number: int, name: str, at: int = 0) -> None:
    """Require that a finished build looks as recorded."""
    drone.finished(number)
    assert_like_recording(drone.build_response(number), name, at, ignore=COMMIT_KEYS)


def test_success(drone: DroneEnv) -> None:
    drone.push("ok", pipeline("ok", step("plain", "true"), step("home", "true")))
    assert_finished_like(drone, drone.create("ok", A="1"), "build-success")


def test_after_a_failure_only_steps_for_failures_run(drone: DroneEnv) -> None:
    steps = [step("one", "exit 3"), step("two", "true")]
    steps += [step("onfail", 'test "$DRONE_FAILED_STEPS" = one', extra=ON_FAILURE)]
    drone.push("fail", pipeline("fail", *steps))
    assert_finished_like(drone, drone.create("fail"), "build-failure")


def test_only_the_step_has_the_exit_code(drone: DroneEnv) -> None:
    """The exit code of the stage stays 0."""
    drone.push("five", pipeline("recipe-ci", step("run", "exit 5"), extra=LIMIT))
    assert_finished_like(drone, drone.create("five", A="1"), "build-failure-exit-code")


def test_exit_code_78_passes_and_skips_the_rest(drone: DroneEnv) -> None:
    drone.push("exit78", pipeline("exit78", step("one", "exit 78"), step("two", "exit 1")))
    assert_finished_like(drone, drone.create("exit78"), "build-exit-78")


def test_an_ignored_failure_does_not_count(drone: DroneEnv) -> None:
    ignored = step("ign", "exit 5", extra="  failure: ignore\n")
    drone.push("ignore", pipeline("ignore", ignored, step("after", "true")))
    build = drone.finished(drone.create("ignore"))
    _, first, second = build["stages"][0]["steps"]
    assert build["status"] == build["stages"][0]["status"] == second["status"] == "success"
    assert (first["status"], first["exit_code"], first["errignore"]) == ("failure", 5, True)


def test_a_step_for_another_event_or_branch_is_left_out(drone: DroneEnv) -> None:
    """The other steps are numbered without it."""
    other = [step("e", "true", extra="  when: {event: [push]}\n")]
    other += [step("b", "true", extra="  when: {branch: [zzz]}\n")]
    drone.push("when", pipeline("when", *other, step("last", "true")))
    steps = drone.finished(drone.create("when"))["stages"][0]["steps"]
    assert [(s["number"], s["name"]) for s in steps] == [(1, "clone"), (2, "last")]


def test_a_commit_that_is_not_on_the_branch_fails_in_the_clone_step(drone: DroneEnv) -> None:
    """Drone accepts the request; cloning exits with 128 and the steps are skipped."""
    sha = drone.push("off", pipeline("env", step("plain", "true"), step("home", "true")))
    name, path = "build-commit-not-on-branch", f"{REPO}/builds?branch=main&commit={sha}&A=1"
    made = drone.call("POST", path)
    assert_like_recording(made, name, 0, ignore=COMMIT_KEYS)
    assert_finished_like(drone, made.json()["number"], name, 1)
    log = drone.log(made.json()["number"], 1)
    assert f"fatal: reference is not a tree: {sha}" in log
    assert "+ git fetch  origin +refs/heads/main:\n" in log


def test_two_pipelines_are_two_stages(drone: DroneEnv) -> None:
    """One failed stage fails the build."""
    yml = pipeline("a", step("x", "exit 3")) + "---\n" + pipeline("b", step("x", "true"))
    drone.push("two", yml)
    build = drone.finished(drone.create("two"))
    found = [(s["number"], s["name"], s["status"]) for s in build["stages"]]
    assert found == [(1, "a", "failure"), (2, "b", "success")]
    assert build["status"] == "failure"


def test_a_running_step_looks_as_recorded(drone: DroneEnv, tmp_path: Path) -> None:
    until_go = 'until [ -e "$GO" ]; do sleep 0.1; done'
    drone.push("running", pipeline("recipe-ci", step("run", until_go), extra=LIMIT))
    go = tmp_path / "go"
    number = drone.create("running", GO=str(go))

    def running() -> bool:
        stages = drone.build(number).get("stages", [{}])
        return [s["status"] for s in stages[0].get("steps", [])] == ["success", "running"]

    until("the step to run", running, timeout=40)
    assert_like_recording(drone.build_response(number), "build-running", ignore=COMMIT_KEYS)
    log = drone.call("GET", f"{REPO}/builds/{number}/logs/1/2")
    assert_like_recording(log, "logs-while-running")
    assert drone.call("GET", f"{REPO}/builds/{number}/logs/1/1").status_code == 200
    go.touch()
    assert drone.finished(number)["status"] == "success"


def test_a_parameter_that_breaks_the_yaml_fails_the_stage(drone: DroneEnv) -> None:
    """The build is created first, since parameters are replaced by the runner."""
    drone.push("breaks", pipeline("inject", "- name: x\n  commands:\n  - echo ${RECIPE}\n"))
    number = drone.create("breaks", RECIPE='a: "b')
    assert_finished_like(drone, number, "build-stage-error")
    assert drone.build(number)["stages"][0]["error"].startswith("yaml: ")


def test_a_parameter_with_a_nul_fails_the_clone_step(drone: DroneEnv) -> None:
    """No process can be started with it."""
    drone.push("nul", pipeline("nul", step("x", "true")))
    build = drone.finished(drone.create("nul", A="a\0b"))
    clone, one = build["stages"][0]["steps"]
    assert build["status"] == build["stages"][0]["status"] == clone["status"] == "error"
    assert (clone["exit_code"], one["status"]) == (255, "skipped")
    assert clone["error"] == build["stages"][0]["error"]
    assert drone.call("GET", f"{REPO}/builds/{build['number']}/logs/1/2").status_code == 404


def test_a_shell_killed_by_a_signal_has_exit_code_minus_1(drone: DroneEnv) -> None:
    drone.push("signal", pipeline("signal", step("x", "kill -9 $$$$")))
    one = drone.finished(drone.create("signal"))["stages"][0]["steps"][1]
    assert (one["status"], one["exit_code"]) == ("failure", -1)
