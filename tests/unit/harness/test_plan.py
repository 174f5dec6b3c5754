"""The order of one run."""

import pytest

from harness import plan


@pytest.mark.parametrize("lane", ["cold", "quick"])
def test_every_step_comes_after_what_it_needs(lane: plan.Lane) -> None:
    """Nothing runs before its needs, in either lane."""
    for step in (*plan.GENERIC.values(), *plan.CHECKS.values(), *plan.TESTS.values()):
        position = step.position(lane)
        for name in plan.needed(step, lane):
            before = plan.GENERIC[name].position(lane)
            assert position is None or (before is not None and before < position)


def test_the_quick_lane_never_needs_the_fresh_life() -> None:
    """A quick functional test builds on the upgrade, a cold one on the install."""
    functional = plan.TESTS["functional"]
    assert plan.needed(functional, "quick") == ("test_upgrade",)
    assert plan.needed(functional, "cold") == ("test_health",)


def test_the_closure_of_restore_is_all_it_builds_on() -> None:
    """Asking for one stage brings what it needs, and no more."""
    assert plan.closure([plan.GENERIC["test_restore"]], "cold") == {
        "test_backup",
        "test_seed",
        "test_health",
        "test_install",
    }


@pytest.mark.parametrize("stage", plan.STAGES)
def test_every_stage_has_a_meaning_and_a_step(stage: str) -> None:
    """No stage is a name only."""
    assert plan.STAGE_MEANING[stage]
    assert any(step.stage == stage for step in plan.GENERIC.values()) or stage == "functional"


def test_lives_follow_the_lane() -> None:
    """Cold runs have a fresh and an upgrade life, quick runs a warm one."""
    assert plan.GENERIC["test_install"].life("cold") == "fresh"
    assert plan.GENERIC["test_upgrade"].life("cold") == "upgrade"
    assert plan.GENERIC["test_upgrade"].life("quick") == "warm"
    assert plan.GENERIC["test_lint"].life("cold") == ""


def test_a_run_of_some_stages_is_not_whole() -> None:
    """Only a run of all the lane's stages is whole."""
    assert plan.is_whole(plan.STAGES, "cold")
    assert not plan.is_whole(("install",), "cold")
    assert plan.is_whole(("lint", "upgrade", "functional", "cleanup"), "quick")
