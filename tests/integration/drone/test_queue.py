"""Which build may run: the pipeline's limit, the runner's capacity, first come first served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.drone.conftest import MakeStandIn
from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import like

pytestmark = pytest.mark.contract

OWN_TEXT = ("message", "ref", "source", "target")
HELD = step("run", 'until [ -e "$GO" ]; do sleep 0.05; done')


def test_a_third_build_waits_under_a_limit_of_two(drone: Place, tmp_path: Path) -> None:
    """It is pending without steps until one of the two has ended, and the fourth after it."""
    drone.push("limit", pipeline("recipe-ci", HELD, extra="concurrency: {limit: 2}\n"))
    files = [tmp_path / str(number) for number in range(4)]
    builds = [drone.create("limit", GO=str(file)) for file in files]
    for number in builds[:2]:
        drone.reached(number, "running", within=40)
    shape = drone.call("GET", f"{REPO}/builds/{builds[2]}")
    like(shape, "build-pending", but=OWN_TEXT)
    files[1].touch()
    drone.reached(builds[2], "running")
    assert drone.over(builds[1])["status"] == "success"
    assert drone.build(builds[3])["status"] == "pending"
    assert drone.build(builds[0])["status"] == "running"
    for file in files:
        file.touch()
    ended = [drone.over(number) for number in builds]
    assert {build["status"] for build in ended} == {"success"}
    assert ended[3]["started"] >= ended[2]["started"]


def test_a_limit_is_for_one_pipeline_name(drone: Place, tmp_path: Path) -> None:
    """A pipeline of another name runs meanwhile."""
    extra, go = "concurrency: {limit: 1}\n", tmp_path / "go"
    drone.push("mine", pipeline("one-name", HELD, extra=extra))
    drone.push("other", pipeline("another-name", HELD, extra=extra))
    builds = [drone.create(branch, GO=str(go)) for branch in ("mine", "mine", "other")]
    drone.reached(builds[2], "running", within=40)
    drone.reached(builds[0], "running")
    assert drone.build(builds[1])["status"] == "pending"
    go.touch()
    for number in builds:
        drone.over(number)


def test_the_capacity_holds_for_all_pipelines(make: MakeStandIn, tmp_path: Path) -> None:
    """Without a limit the runner still takes no more than its capacity, in the builds' order."""
    drone = make(capacity=2)
    for name in ("a", "b"):
        drone.push(name, pipeline(name, HELD))
    files = [tmp_path / str(number) for number in range(4)]
    builds = [drone.create("ab"[at % 2], GO=str(file)) for at, file in enumerate(files)]
    for number in builds[:2]:
        drone.reached(number, "running")
    assert [drone.build(number)["status"] for number in builds[2:]] == ["pending"] * 2
    files[0].touch()
    drone.reached(builds[2], "running")
    assert drone.build(builds[3])["status"] == "pending"
    for file in files:
        file.touch()
    for number in builds:
        drone.over(number)


def test_a_runner_may_come_late(make: MakeStandIn) -> None:
    """With a delay set a build stays pending that long."""
    drone = make(pickup_delay=0.5)
    drone.push("late", pipeline("late", step("run", "true")))
    number = drone.create("late")
    assert drone.build(number)["status"] == "pending"
    assert drone.over(number)["status"] == "success"
