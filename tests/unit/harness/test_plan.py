"""The steps of a run and their order."""

import pytest

from harness import plan


@pytest.mark.parametrize("lane", ["cold", "quick"])
def test_every_step_comes_after_what_it_needs(lane: plan.Lane) -> None:
    for step in (*plan.GENERIC.values(), *plan.CHECKS.values(), *plan.TESTS.values()):
        position = step.position(lane)
        for name in plan.needed(step, lane):
            before = plan.GENERIC[name].position(lane)
            assert position is None or (before is not None and before < position)


def test_the_quick_lane_never_needs_the_fresh_life() -> None:
    """A quick functional test needs the upgrade, a cold one the install."""
    functional = plan.TESTS["functional"]
    assert plan.needed(functional, "quick") == ("test_upgrade",)
    assert plan.needed(functional, "cold") == ("test_health",)


def test_the_closure_of_restore_has_all_steps_that_it_needs() -> None:
    assert plan.closure([plan.GENERIC["test_restore"]], "cold") == {
        "test_backup",
        "test_seed",
        "test_health",
        "test_install",
    }


@pytest.mark.parametrize("stage", plan.STAGES)
def test_every_stage_has_a_meaning_and_a_step(stage: str) -> None:
    assert plan.STAGE_MEANING[stage]
    assert any(step.stage == stage for step in plan.GENERIC.values()) or stage == "functional"


def test_the_life_of_a_step_depends_on_the_lane() -> None:
    assert plan.GENERIC["test_install"].life("cold") == "fresh"
    assert plan.GENERIC["test_upgrade"].life("cold") == "upgrade"
    assert plan.GENERIC["test_upgrade"].life("quick") == "warm"
    assert plan.GENERIC["test_lint"].life("cold") == ""


def test_a_run_of_some_stages_is_not_whole() -> None:
    assert plan.is_whole(plan.STAGES, "cold")
    assert not plan.is_whole(("install",), "cold")
    assert plan.is_whole(("lint", "upgrade", "functional", "cleanup"), "quick")
