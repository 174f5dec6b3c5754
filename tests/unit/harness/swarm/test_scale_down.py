"""Stopping an app for the negative controls: nothing of it runs then, or the control is not held."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InfraError, TimedOut
from harness.swarm import scale_down
from tests.support.fake_docker import FakeDocker, Refused

pytestmark = pytest.mark.usefixtures("moving_clock")

STACK = "aaaaaa-x_ci_test"


class Running(FakeDocker):
    """An engine whose services can be told to change, and whose containers can be killed."""

    def __init__(self, mode: dict[str, object], *, deaf: bool = False, task: bool = False) -> None:
        super().__init__()
        self.deploy(STACK)
        self.objects["service"][f"{STACK}_app"]["Spec"]["Mode"] = mode
        self.objects["service"][f"{STACK}_app"]["Version"] = {"Index": 7}
        self.changes: list[dict[str, Any]] = []
        self.deaf, self.task = deaf, task

    def update_service(self, service: str, version: int, **change: Any) -> None:
        """Remember what was asked for."""
        assert (service, version) == (f"{STACK}_app", 7) and change.pop("fetch_current_spec")
        self.changes.append(change)

    def kill(self, container: str) -> None:
        """End a container, which may be over already."""
        if not self.deaf:
            del self.objects["container"][container]
        raise Refused(409, "is not running")

    def tasks(self, filters: Any = None) -> list[dict[str, Any]]:
        """List the tasks that are wanted."""
        return [{"ID": "t"}] if self.task else []


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        ({"Replicated": {"Replicas": 2}}, {"mode": {"Replicated": {"Replicas": 0}}}),
        ({"Global": {}}, {"task_template": {"Placement": {"Constraints": [scale_down.NO_NODE]}}}),
        ({"ReplicatedJob": {}}, None),
    ],
)
def test_a_stopped_app_has_no_task_and_no_container(
    mode: dict[str, object], change: dict[str, object] | None
) -> None:
    """Services are scaled to nothing, or Swarm starts again what is killed; a job starts nothing."""
    api = Running(mode)
    scale_down.stop(STACK, api)
    assert api.changes == ([change] if change else [])
    assert api.objects["container"] == {} and api.objects["service"] != {}


@pytest.mark.parametrize("left", ["deaf", "task"])
def test_an_app_that_goes_on_running_is_not_taken_for_stopped(left: str) -> None:
    """Neither a container that does not end nor a task that is still wanted is nothing."""
    with pytest.raises(TimedOut, match="to stop"):
        scale_down.stop(STACK, Running({"Replicated": {}}, **{left: True}))


def test_a_stop_that_swarm_refuses_is_our_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the suite, whose controls could not be run."""

    def refuse(*words: object, **more: object) -> None:
        raise Refused(500, "no leader")

    monkeypatch.setattr(Running, "update_service", refuse)
    with pytest.raises(InfraError, match="was refused: no leader"):
        scale_down.stop(STACK, Running({"Replicated": {}}))
