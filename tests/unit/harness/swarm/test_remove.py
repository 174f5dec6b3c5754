"""Removing and listing stacks, with a fake engine."""

from __future__ import annotations

from typing import Any

import pytest

from harness.swarm import remove
from harness.swarm.engine import NAMESPACE
from tests.support.fake_docker import FakeDocker, Refused

STACK = "aaaaaa-hello_ci_test"


def test_a_stack_whose_name_begins_the_same_is_not_removed() -> None:
    """Docker's own name filters match prefixes."""
    api = FakeDocker()
    api.deploy("aaaaaa-x_ci")
    api.deploy("aaaaaa-x_cib")
    assert remove.remove_stack(api, "aaaaaa-x_ci") == ()
    assert {name.lstrip("/").partition("_cib")[0] for name in api.names()} == {"aaaaaa-x"}


def test_incident_l1_what_cannot_be_removed_is_reported_with_the_reason() -> None:
    """L1: a failed removal was swallowed."""
    api = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    api.deploy(STACK)
    (left,) = remove.remove_stack(api, STACK, timeout=0.2)
    assert (left.kind, left.name) == ("volume", f"{STACK}_content")
    assert "in use" in left.why


def test_what_swarm_has_already_removed_is_not_an_error() -> None:
    """Swarm may remove an object between listing and removal."""

    class Racing(FakeDocker):
        def remove_network(self, name: str) -> None:
            """Answer 404, as Docker does when it forgets the network shortly afterwards."""
            raise Refused(404, "no such network")

    api = Racing()
    api.deploy(STACK)
    (left,) = remove.remove_stack(api, STACK, timeout=0.2)
    assert (left.kind, left.why) == ("network", "")


def test_keep_secrets_keeps_the_secrets() -> None:
    """A restore needs the secrets with which the data was written."""
    api = FakeDocker()
    api.deploy(STACK)
    assert remove.remove_stack(api, STACK, keep_secrets=True) == ()
    assert api.names() == {f"{STACK}_password_v1"}


def test_a_volume_is_found_by_its_label_too() -> None:
    """A volume with a name of its own has only the stack's label."""
    api = FakeDocker()
    api.objects["volume"]["odd"] = {"Labels": {NAMESPACE: STACK}}
    assert [item.name for item in remove.leftovers(api, STACK)] == ["odd"]


def test_a_task_that_is_still_running_is_waited_for() -> None:
    """Swarm reports a service as removed long before its tasks have exited."""
    left = [{"ID": "t1", "Status": {"State": "running"}}]

    class Stopping(FakeDocker):
        def tasks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
            """List a task that runs after everything else is gone."""
            return [] if self.objects["service"] else left

    slow = Stopping()
    slow.deploy(STACK)
    (found,) = remove.remove_stack(slow, STACK, timeout=0.1)
    assert (found.kind, found.name) == ("task", "t1")
    left.clear()
    assert remove.remove_stack(slow, STACK) == ()


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), ("2026-01-01T00:00:00Z", "")],
    ids=["a newer volume", "a volume without a time"],
)
def test_the_age_of_a_stack_is_that_of_its_newest_object(older: str, newer: str) -> None:
    """An object without a time counts as new; the order of the listing does not matter."""
    for first, second in ((older, newer), (newer, older)):
        api = FakeDocker()
        api.deploy(STACK, created=first)
        api.objects["volume"][f"{STACK}_content"]["CreatedAt"] = second
        api.objects["config"][f"{STACK}_conf_v1"]["CreatedAt"] = older
        api.objects["secret"].clear()
        young = 1_767_229_200.0 if newer else float("inf")
        assert remove.stacks(api, "ci.test") == {STACK: young}
