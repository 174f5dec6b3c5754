"""Cancel and time-out: the step's shell is killed and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.drone.conftest import MakeStandIn
from tests.integration.drone.drone_env import REPO, Place, pipeline, step
from tests.integration.drone.recordings import like
from tests.integration.drone.step_programs import FILES
from tests.support.poll import living, number_in, until

pytestmark = pytest.mark.contract

OWN_TEXT = ("message", "ref", "source", "target")
LIMIT = "concurrency: {limit: 2}\n"


def running(drone: Place, branch: str, place: Path, left: list[int], **params: str) -> int:
    """Create a build, wait for the child of its step, and return the build's number."""
    number = drone.create(branch, PLACE=str(place), **params)
    left.append(until("the step's child", lambda: number_in(place / "child"), within=40))
    until("the step to be running", lambda: step_of(drone, number)["status"] == "running")
    return number


def step_of(drone: Place, number: int) -> dict[str, Any]:
    """Return the second step of a build."""
    found: dict[str, Any] = drone.build(number)["stages"][0]["steps"][1]
    return found


def test_cancel_kills_the_shell_and_not_its_children(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """A child of the shell goes on, may still write, and finds its folders removed."""
    started = step("run", 'echo $$$$ > "$PLACE/shell"; sh ./child.sh')
    drone.push("cancel", pipeline("cancel", started), FILES)
    number = running(drone, "cancel", tmp_path, left)
    shell, child = number_in(tmp_path / "shell"), left[0]
    home = Path(f"/proc/{child}/cwd").readlink()
    answer = drone.cancel(number)
    assert (answer.status_code, answer.json()["status"]) == (200, "killed")
    until("the shell to die", lambda: not living(shell))
    until("the workspace to go", lambda: not home.exists())
    drone.over(number)
    until("the runner's report", lambda: step_of(drone, number)["exit_code"] == 137)
    shape = drone.call("GET", f"{REPO}/builds/{number}")
    like(shape, "build-cancel-running", 1, but=OWN_TEXT)
    assert living(child)
    (tmp_path / "go").touch()
    until("the child to reach its end", (tmp_path / "done").exists)
    log = drone.log(number, 2)
    assert "tick\n" in log
    assert "more\n" not in log


def test_steps_after_a_cancelled_one_are_skipped(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """Not even a step for failures runs."""
    failing = step("onfail", "true", extra="  when: {status: [failure]}\n")
    steps = [step("run", "sh ./child.sh"), step("two", "true"), failing]
    drone.push("cancel3", pipeline("cancel3", *steps), FILES)
    number = running(drone, "cancel3", tmp_path, left)
    assert [s["status"] for s in drone.build(number)["stages"][0]["steps"]][2:] == ["pending"] * 2
    drone.cancel(number)
    steps_now = drone.over(number)["stages"][0]["steps"]
    found = [(s["name"], s["status"]) for s in steps_now]
    assert found[1:] == [("run", "killed"), ("two", "skipped"), ("onfail", "skipped")]


def test_a_process_may_ask_for_a_signal_at_its_shells_death(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """The parent-death signal reaches what the shell started itself, and its clean-up goes on."""
    drone.push("guard", pipeline("guard", step("run", "python3 guarded.py", "true")), FILES)
    number = running(drone, "guard", tmp_path, left)
    drone.cancel(number)
    heard = tmp_path / "heard"
    until("the clean-up", lambda: heard.exists() and heard.read_text())
    signal, parent = heard.read_text().split()
    assert signal == "15"
    assert not Path(f"/proc/{parent}/comm").read_text().startswith("sh")


def test_steps_share_the_runners_process_group(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """No session or group of their own: a signal to the group would meet the runner."""
    drone.push("group", pipeline("group", step("run", "sh ./child.sh")), FILES)
    number = running(drone, "group", tmp_path, left)
    fields = Path(f"/proc/{left[0]}/stat").read_text().rsplit(")", 1)[1].split()
    group, session = int(fields[2]), int(fields[3])
    assert group == session != left[0]
    assert living(group)
    assert b"sandbox.standins.drone" in Path(f"/proc/{group}/cmdline").read_bytes() or drone.real
    drone.cancel(number)


def test_a_pending_build_is_skipped(drone: Place, tmp_path: Path, left: list[int]) -> None:
    """Its stage never starts and has no steps."""
    extra = "concurrency: {limit: 1}\n"
    drone.push("pending", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=extra), FILES)
    first = running(drone, "pending", tmp_path, left)
    second = drone.create("pending", PLACE=str(tmp_path))
    assert drone.cancel(second).json()["status"] == "killed"
    stage = drone.build(second)["stages"][0]
    assert (stage["status"], stage["exit_code"], stage.get("steps")) == ("skipped", 0, None)
    drone.cancel(first)


def test_a_cancelled_pending_build_looks_as_recorded(make: MakeStandIn) -> None:
    """Its stage has no machine and no steps."""
    drone = make(pickup_delay=60)
    drone.push("later", pipeline("recipe-ci", step("run", "true"), extra=LIMIT))
    answer = drone.cancel(drone.create("later", A="1"))
    like(answer, "build-cancel-pending", but=OWN_TEXT)


def test_a_lost_cancel(make: MakeStandIn, tmp_path: Path, left: list[int]) -> None:
    """The build is killed at once, its step goes on to its end, and what is reported is dropped."""
    drone = make(lose_cancels=True)
    drone.push("lost", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=LIMIT), FILES)
    number = running(drone, "lost", tmp_path, left)
    like(drone.cancel(number), "build-cancel-orphaned", but=OWN_TEXT)
    assert drone.cancel(number).status_code == 200
    (tmp_path / "go").touch()
    until("the step to reach its end", (tmp_path / "done").exists)
    until("the log", lambda: "more\n" in drone.log(number, 2))
    shape = drone.call("GET", f"{REPO}/builds/{number}")
    like(shape, "build-cancel-orphaned", but=OWN_TEXT)


def test_a_lost_cancel_breaks_the_limit(make: MakeStandIn, tmp_path: Path, left: list[int]) -> None:
    """The next build starts beside the lost one, though only one may run; the capacity still counts."""
    drone = make(lose_cancels=True, capacity=2)
    extra = "concurrency: {limit: 1}\n"
    drone.push("lost", pipeline("recipe-ci", step("run", "sh ./child.sh"), extra=extra), FILES)
    places = [tmp_path / name for name in ("a", "b", "c")]
    for place in places:
        place.mkdir()
    lost = [running(drone, "lost", place, left) for place in places[:1]]
    drone.cancel(lost[0])
    lost.append(running(drone, "lost", places[1], left))
    assert all(map(living, left))
    drone.cancel(lost[1])
    third = drone.create("lost", PLACE=str(places[2]))
    assert drone.build(third)["status"] == "pending"
    (places[0] / "go").touch()
    drone.reached(third, "running")
    (places[2] / "go").touch()
    drone.over(third)


def test_a_timeout_looks_like_a_cancel(make: MakeStandIn, tmp_path: Path, left: list[int]) -> None:
    """The shell is killed at the repository's time-out, counted from the stage's start."""
    drone = make()
    drone.push("slow", pipeline("cancel", step("run", "sh ./child.sh")), FILES)
    assert drone.call("PATCH", REPO, json={"timeout": 0.02}).status_code == 200
    number = running(drone, "slow", tmp_path, left)
    drone.over(number)
    like(drone.call("GET", f"{REPO}/builds/{number}"), "build-timeout", but=OWN_TEXT)
    assert living(left[0])


def test_cancel_ends_a_step_that_waits_for_a_background_child(
    drone: Place, tmp_path: Path, left: list[int]
) -> None:
    """The shell is gone already; the step ends as killed."""
    drone.push("held", pipeline("held", step("run", "sh ./child.sh &", "true")), FILES)
    number = running(drone, "held", tmp_path, left)
    drone.cancel(number)
    stage = drone.over(number)["stages"][0]
    assert (stage["status"], stage["steps"][1]["status"]) == ("killed", "killed")
    assert living(left[0])
