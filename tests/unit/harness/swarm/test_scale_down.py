"""Stopping an app for the negative controls."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InfraError, TimedOut
from harness.swarm import scale_down
from tests.support.fake_docker import FakeDocker, Refused

pytestmark = pytest.mark.usefixtures("moving_clock")

STACK = "aaaaaa-x_ci_test"


class Running(FakeDocker):
    """A fake engine whose services can be updated and whose containers can be killed."""

    def __init__(
        self, mode: dict[str, object], *, stubborn: bool = False, task: bool = False
    ) -> None:
        super().__init__()
        self.deploy(STACK)
        self.objects["service"][f"{STACK}_app"]["Spec"]["Mode"] = mode
        self.objects["service"][f"{STACK}_app"]["Version"] = {"Index": 7}
        self.changes: list[dict[str, Any]] = []
        self.stubborn, self.task = stubborn, task

    def update_service(self, service: str, version: int, **change: Any) -> None:
        """Record the change."""
        assert (service, version) == (f"{STACK}_app", 7) and change.pop("fetch_current_spec")
        self.changes.append(change)

    def kill(self, container: str) -> None:
        """Kill a container, which may have exited already."""
        if not self.stubborn:
            del self.objects["container"][container]
        raise Refused(409, "is not running")

    def tasks(self, filters: Any = None) -> list[dict[str, Any]]:
        """List the tasks that should run."""
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
    """Swarm would restart what is killed; a job is not restarted."""
    api = Running(mode)
    scale_down.stop(STACK, api)
    assert api.changes == ([change] if change else [])
    assert api.objects["container"] == {} and api.objects["service"] != {}


@pytest.mark.parametrize("left", ["stubborn", "task"])
def test_an_app_that_keeps_running_is_a_timeout(left: str) -> None:
    with pytest.raises(TimedOut, match="to stop"):
        scale_down.stop(STACK, Running({"Replicated": {}}, **{left: True}))


def test_a_refusal_of_swarm_is_an_infrastructure_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing about the suite, whose controls could not run."""

    def refuse(*words: object, **more: object) -> None:
        raise Refused(500, "no leader")

    monkeypatch.setattr(Running, "update_service", refuse)
    with pytest.raises(InfraError, match="was refused: no leader"):
        scale_down.stop(STACK, Running({"Replicated": {}}))
