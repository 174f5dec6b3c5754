"""Cancel and timeout: Drone kills the step's shell and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.drone.conftest import StartStandIn
from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording
from tests.integration.drone.step_programs import FILES
from tests.support.poll import is_alive, read_number, until

pytestmark = pytest.mark.contract

LIMIT = "concurrency: {limit: 2}\n"


def start_build(
    drone: DroneEnv, branch: str, folder: Path, leftover_pids: list[int], **params: str
) -> int:
    """Create a build, wait for the child of its step, and return the number of the build."""
    number = drone.create(branch, TEST_DIR=str(folder), **params)
    leftover_pids.append(
        until("the step's child", lambda: read_number(folder / "child"), timeout=40)
    )
    until("the step to be running", lambda: step_of(drone, number)["status"] == "running")
    return number


def step_of(drone: DroneEnv, number: int) -> dict[str, Any]:
    """Return the second step of a build."""
    found: dict[str, Any] = drone.build(number)["stages"][0]["steps"][1]
    return found


def test_cancel_kills_the_shell_but_not_its_children(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """A child keeps running and may still write, but its folders are removed."""
    started = step("run", 'echo $$$$ > "$TEST_DIR/shell"; sh ./child.sh')
    drone.push("cancel", pipeline("cancel", started), FILES)
    number = start_build(drone, "cancel", tmp_path, leftover_pids)
    shell, child = read_number(tmp_path / "shell"), leftover_pids[0]
    home = Path(f"/proc/{child}/cwd").readlink()
    response = drone.cancel(number)
    assert (response.status_code, response.json()["status"]) == (200, "killed")
    until("the shell to die", lambda: not is_alive(shell))
    until("the workspace to go", lambda: not home.exists())
    drone.finished(number)
    until("the runner's report", lambda: step_of(drone, number)["exit_code"] == 137)
    build_response = drone.build_response(number)
    assert_like_recording(build_response, "build-cancel-running", 1, ignore=COMMIT_KEYS)
    assert is_alive(child)
    (tmp_path / "go").touch()
    until("the child to reach its end", (tmp_path / "done").exists)
    log = drone.log(number, 2)
    assert "tick\n" in log
    assert "more\n" not in log


def test_steps_after_a_cancelled_one_are_skipped(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """Even a step for failures is."""
    failing = step("onfail", "true", extra="  when: {status: [failure]}\n")
    steps = [step("run", "sh ./child.sh"), step("two", "true"), failing]
    drone.push("cancel3", pipeline("cancel3", *steps), FILES)
    number = start_build(drone, "cancel3", tmp_path, leftover_pids)
    assert [s["status"] for s in drone.build(number)["stages"][0]["steps"]][2:] == ["pending"] * 2
    drone.cancel(number)
    steps_now = drone.finished(number)["stages"][0]["steps"]
    found = [(s["name"], s["status"]) for s in steps_now]
    assert found[1:] == [("run", "killed"), ("two", "skipped"), ("onfail", "skipped")]


def test_a_child_may_ask_for_a_signal_when_its_shell_dies(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """The parent-death signal reaches direct children of the shell; nothing stops their clean-up."""
    drone.push("guard", pipeline("guard", step("run", "python3 guarded.py", "true")), FILES)
    number = start_build(drone, "guard", tmp_path, leftover_pids)
    drone.cancel(number)
    cleaned_up = tmp_path / "cleaned-up"
    until("the clean-up", lambda: cleaned_up.exists() and cleaned_up.read_text())
    signal, parent = cleaned_up.read_text().split()
    assert signal == "15"
    assert not Path(f"/proc/{parent}/comm").read_text().startswith("sh")


def test_steps_share_the_runners_process_group(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """A signal to the step's group would reach the runner as well."""
    drone.push("group", pipeline("group", step("run", "sh ./child.sh")), FILES)
    number = start_build(drone, "group", tmp_path, leftover_pids)
    fields = Path(f"/proc/{leftover_pids[0]}/stat").read_text().rsplit(")", 1)[1].split()
    group, session = int(fields[2]), int(fields[3])
    assert group == session != leftover_pids[0]
    assert is_alive(group)
    assert b"sandbox.standins.drone" in Path(f"/proc/{group}/cmdline").read_bytes() or drone.real
    drone.cancel(number)


def test_a_cancelled_pending_build_is_skipped(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """Its stage never starts and has no steps."""
    extra = "concurrency: {limit: 1}\n"
    drone.push("pending", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=extra), FILES)
    first = start_build(drone, "pending", tmp_path, leftover_pids)
    second = drone.create("pending", TEST_DIR=str(tmp_path))
    assert drone.cancel(second).json()["status"] == "killed"
    stage = drone.build(second)["stages"][0]
    assert (stage["status"], stage["exit_code"], stage.get("steps")) == ("skipped", 0, None)
    drone.cancel(first)


def test_a_cancelled_pending_build_looks_as_recorded(start_standin: StartStandIn) -> None:
    drone = start_standin(pickup_delay=60)
    drone.push("later", pipeline("recipe-ci", step("run", "true"), extra=LIMIT))
    response = drone.cancel(drone.create("later", A="1"))
    assert_like_recording(response, "build-cancel-pending", ignore=COMMIT_KEYS)


def test_a_lost_cancel_kills_the_build_but_not_its_step(
    start_standin: StartStandIn, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """Later reports of the runner are dropped."""
    drone = start_standin(lose_cancels=True)
    drone.push("lost", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=LIMIT), FILES)
    number = start_build(drone, "lost", tmp_path, leftover_pids)
    assert_like_recording(drone.cancel(number), "build-cancel-orphaned", ignore=COMMIT_KEYS)
    assert drone.cancel(number).status_code == 200
    (tmp_path / "go").touch()
    until("the step to reach its end", (tmp_path / "done").exists)
    until("the log", lambda: "more\n" in drone.log(number, 2))
    build_response = drone.build_response(number)
    assert_like_recording(build_response, "build-cancel-orphaned", ignore=COMMIT_KEYS)


def test_after_a_lost_cancel_two_builds_run_under_a_limit_of_one(
    start_standin: StartStandIn, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """The capacity of the runner still counts."""
    drone = start_standin(lose_cancels=True, capacity=2)
    extra = "concurrency: {limit: 1}\n"
    drone.push("lost", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=extra), FILES)
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    lost = [start_build(drone, "lost", folder, leftover_pids) for folder in folders[:1]]
    drone.cancel(lost[0])
    lost.append(start_build(drone, "lost", folders[1], leftover_pids))
    assert all(map(is_alive, leftover_pids))
    drone.cancel(lost[1])
    third = drone.create("lost", TEST_DIR=str(folders[2]))
    assert drone.build(third)["status"] == "pending"
    (folders[0] / "go").touch()
    drone.wait_for(third, "running")
    (folders[2] / "go").touch()
    drone.finished(third)


def test_a_timeout_kills_the_shell_like_a_cancel(
    start_standin: StartStandIn, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """The repository's timeout counts from the start of the stage."""
    drone = start_standin()
    drone.push("slow", pipeline("cancel", step("run", "sh ./child.sh")), FILES)
    assert drone.call("PATCH", REPO, json={"timeout": 0.02}).status_code == 200
    number = start_build(drone, "slow", tmp_path, leftover_pids)
    drone.finished(number)
    assert_like_recording(drone.build_response(number), "build-timeout", ignore=COMMIT_KEYS)
    assert is_alive(leftover_pids[0])


def test_cancel_stops_a_step_that_waits_for_a_background_child(
    drone: DroneEnv, tmp_path: Path, leftover_pids: list[int]
) -> None:
    """The shell has exited already; the step finishes as killed."""
    drone.push("held", pipeline("held", step("run", "sh ./child.sh &", "true")), FILES)
    number = start_build(drone, "held", tmp_path, leftover_pids)
    drone.cancel(number)
    stage = drone.finished(number)["stages"][0]
    assert (stage["status"], stage["steps"][1]["status"]) == ("killed", "killed")
    assert is_alive(leftover_pids[0])
