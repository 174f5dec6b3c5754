"""Which build may start: the limit of its pipeline, the capacity of the runner, and the order of builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.drone.conftest import StartStandIn
from tests.integration.drone.drone_env import REPO, DroneEnv, pipeline, step
from tests.integration.drone.recordings import COMMIT_KEYS, assert_like_recording

pytestmark = pytest.mark.contract

HELD = step("run", 'until [ -e "$GO" ]; do sleep 0.05; done')


def test_a_third_build_waits_under_a_limit_of_two(drone: DroneEnv, tmp_path: Path) -> None:
    """It is pending without steps until one of the two has finished; the fourth starts after it."""
    drone.push("limit", pipeline("recipe-ci", HELD, extra="concurrency: {limit: 2}\n"))
    files = [tmp_path / str(number) for number in range(4)]
    builds = [drone.create("limit", GO=str(file)) for file in files]
    for number in builds[:2]:
        drone.wait_for(number, "running", timeout=40)
    build_response = drone.call("GET", f"{REPO}/builds/{builds[2]}")
    assert_like_recording(build_response, "build-pending", ignore=COMMIT_KEYS)
    files[1].touch()
    drone.wait_for(builds[2], "running")
    assert drone.finished(builds[1])["status"] == "success"
    assert drone.build(builds[3])["status"] == "pending"
    assert drone.build(builds[0])["status"] == "running"
    for file in files:
        file.touch()
    finished = [drone.finished(number) for number in builds]
    assert {build["status"] for build in finished} == {"success"}
    assert finished[3]["started"] >= finished[2]["started"]


def test_a_limit_counts_pipelines_with_the_same_name(drone: DroneEnv, tmp_path: Path) -> None:
    extra, go = "concurrency: {limit: 1}\n", tmp_path / "go"
    drone.push("mine", pipeline("one-name", HELD, extra=extra))
    drone.push("other", pipeline("another-name", HELD, extra=extra))
    builds = [drone.create(branch, GO=str(go)) for branch in ("mine", "mine", "other")]
    drone.wait_for(builds[2], "running", timeout=40)
    drone.wait_for(builds[0], "running")
    assert drone.build(builds[1])["status"] == "pending"
    go.touch()
    for number in builds:
        drone.finished(number)


def test_the_capacity_counts_all_pipelines(start_standin: StartStandIn, tmp_path: Path) -> None:
    """Builds start in the order of their numbers."""
    drone = start_standin(capacity=2)
    for name in ("a", "b"):
        drone.push(name, pipeline(name, HELD))
    files = [tmp_path / str(number) for number in range(4)]
    builds = [drone.create("ab"[at % 2], GO=str(file)) for at, file in enumerate(files)]
    for number in builds[:2]:
        drone.wait_for(number, "running")
    assert [drone.build(number)["status"] for number in builds[2:]] == ["pending"] * 2
    files[0].touch()
    drone.wait_for(builds[2], "running")
    assert drone.build(builds[3])["status"] == "pending"
    for file in files:
        file.touch()
    for number in builds:
        drone.finished(number)


def test_with_a_pickup_delay_a_build_stays_pending(start_standin: StartStandIn) -> None:
    drone = start_standin(pickup_delay=0.5)
    drone.push("late", pipeline("late", step("run", "true")))
    number = drone.create("late")
    assert drone.build(number)["status"] == "pending"
    assert drone.finished(number)["status"] == "success"
