"""Removal of all that has one stack's name, and what stacks of ours there are: an engine in memory."""

from __future__ import annotations

from typing import Any

import pytest

from harness.swarm import remove
from harness.swarm.engine import NAMESPACE
from tests.support.fake_docker import FakeDocker, Refused

STACK = "aaaaaa-hello_ci_test"


def test_a_stack_whose_name_starts_the_same_is_not_touched() -> None:
    """Docker's name filters match prefixes; ours must not."""
    api = FakeDocker()
    api.deploy("aaaaaa-x_ci")
    api.deploy("aaaaaa-x_cib")
    assert remove.remove_stack(api, "aaaaaa-x_ci") == ()
    assert {name.lstrip("/").partition("_cib")[0] for name in api.names()} == {"aaaaaa-x"}


def test_incident_l1_what_does_not_go_is_named_with_the_reason() -> None:
    """L1: a removal that fails is reported, never swallowed."""
    api = FakeDocker(stuck=frozenset({f"{STACK}_content"}))
    api.deploy(STACK)
    (left,) = remove.remove_stack(api, STACK, timeout=0.2)
    assert (left.kind, left.name) == ("volume", f"{STACK}_content")
    assert "in use" in left.why


def test_what_went_by_itself_is_no_failure() -> None:
    """Between the look and the removal Swarm may have removed it; only what stays has a reason."""

    class Racing(FakeDocker):
        def remove_network(self, name: str) -> None:
            """Say that it is gone, as Docker does of what it forgets a moment later."""
            raise Refused(404, "no such network")

    api = Racing()
    api.deploy(STACK)
    (left,) = remove.remove_stack(api, STACK, timeout=0.2)
    assert (left.kind, left.why) == ("network", "")


def test_secrets_are_kept_when_the_app_is_deployed_again() -> None:
    """A restore needs the secrets that the data was made with."""
    api = FakeDocker()
    api.deploy(STACK)
    assert remove.remove_stack(api, STACK, keep_secrets=True) == ()
    assert api.names() == {f"{STACK}_password_v1"}


def test_a_volume_is_known_by_its_label_too() -> None:
    """One that has a name of its own carries the stack's label alone."""
    api = FakeDocker()
    api.objects["volume"]["odd"] = {"Labels": {NAMESPACE: STACK}}
    assert [item.name for item in remove.leftovers(api, STACK)] == ["odd"]


def test_a_task_that_still_runs_is_waited_for() -> None:
    """Swarm says "removed" of a service long before its tasks have ended."""
    left = [{"ID": "t1", "Status": {"State": "running"}}]

    class Ending(FakeDocker):
        def tasks(self, filters: dict[str, str] | None = None) -> list[dict[str, Any]]:
            """Run on after everything else has gone."""
            return [] if self.objects["service"] else left

    slow = Ending()
    slow.deploy(STACK)
    (found,) = remove.remove_stack(slow, STACK, timeout=0.1)
    assert (found.kind, found.name) == ("task", "t1")
    left.clear()
    assert remove.remove_stack(slow, STACK) == ()


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"), ("2026-01-01T00:00:00Z", "")],
    ids=["a younger volume", "a volume that does not say"],
)
def test_a_stack_is_as_young_as_the_newest_of_it(older: str, newer: str) -> None:
    """What does not say when it was made is new; the order of the listing decides nothing."""
    for first, second in ((older, newer), (newer, older)):
        api = FakeDocker()
        api.deploy(STACK, created=first)
        api.objects["volume"][f"{STACK}_content"]["CreatedAt"] = second
        api.objects["config"][f"{STACK}_conf_v1"]["CreatedAt"] = older
        api.objects["secret"].clear()
        young = 1_767_229_200.0 if newer else float("inf")
        assert remove.stacks(api, "ci.test") == {STACK: young}
