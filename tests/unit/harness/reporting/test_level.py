"""Outcomes of stages, and the level."""

from __future__ import annotations

import pytest

from harness import plan
from harness.reporting import level
from harness.reporting.level import LADDER, NO_FUNCTIONAL_TEST, NOT_REACHED, Case
from tests.support import event_factory


def a_case(stage: str, outcome: str, message: str = "", *, structural: bool = False) -> Case:
    """Return a case of one second."""
    return Case("t", stage, "fresh", outcome, 1.0, message, structural=structural)


@pytest.mark.parametrize(
    ("cases", "outcome", "reason"),
    [
        (["pass"], "pass", ""),
        (["pass", "fail"], "fail", "why-fail"),
        (["error"], "fail", "why-error"),
        (["unverified", "error"], "fail", "why-error"),
        (["pass", "unverified"], "unverified", "why-unverified"),
        (["skip", "unverified"], "unverified", "why-unverified"),
        (["skip"], "unverified", "every test was skipped: why-skip"),
        (["skip", "na"], "unverified", "every test was skipped: why-skip"),
        (["pass", "skip"], "unverified", "1 of 2 skipped: why-skip"),
        (["pass", "na"], "pass", "1 of 2 skipped: why-na"),
        (["na"], "skip", "why-na"),
        (["na", "na"], "skip", "why-na"),
        (["na", "fail"], "fail", "why-fail"),
        (["unknown"], "unverified", "why-unknown"),
    ],
)
def test_the_worst_case_decides_a_stage(cases: list[str], outcome: str, reason: str) -> None:
    """A stage passes only if a case of it passed and none is unverified (L2)."""
    made = [
        a_case("backup", "skip", "why-na", structural=True)
        if kind == "na"
        else a_case("backup", "unverified" if kind == "unknown" else kind, f"why-{kind}")
        for kind in cases
    ]
    found = level.stage_outcomes(["backup"], made)["backup"]
    assert (found.outcome, found.reason) == (outcome, reason)
    assert (found.cases, found.seconds) == (len(cases), float(len(cases)))


def test_a_planned_stage_without_a_case_was_not_reached() -> None:
    found = level.stage_outcomes(["install"], [])["install"]
    assert (found.outcome, found.reason) == ("unverified", NOT_REACHED)


def test_a_stage_declared_not_applicable_is_skipped_with_its_reason() -> None:
    found = level.stage_outcomes(["backup"], [], {"backup": "keeps no data"})["backup"]
    assert (found.outcome, found.reason) == ("skip", "keeps no data")


def test_a_stage_declared_not_applicable_can_still_fail() -> None:
    found = level.stage_outcomes(["backup"], [a_case("backup", "fail", "lost")], {"backup": "x"})
    assert found["backup"].outcome == "fail"


def test_a_finished_run_without_a_functional_test_says_so() -> None:
    found = level.stage_outcomes(["functional", "cleanup"], [a_case("cleanup", "pass")])
    assert found["functional"].reason == NO_FUNCTIONAL_TEST


def test_a_run_that_died_before_its_functional_tests_is_not_the_suites_fault() -> None:
    """Without the end of the run it is not known whether there were any."""
    assert level.stage_outcomes(["functional"], [])["functional"].reason == NOT_REACHED


def test_a_case_of_an_unplanned_stage_counts() -> None:
    """A failure is never dropped."""
    found = level.stage_outcomes(["install"], [a_case("restore", "fail", "lost")])
    assert found["restore"].outcome == "fail"


def test_a_case_with_an_unknown_outcome_is_unverified() -> None:
    """A newer harness may use other outcomes; none of them is a pass."""
    found = level.gather([event_factory.started(), event_factory.case("install", "splendid")])
    assert found.cases[0].outcome == "unverified"
    assert "splendid" in found.stages["install"].reason


@pytest.mark.parametrize(
    ("broken", "reached"),
    [
        ([], 5),
        (["lint"], 4),
        (["cleanup"], 4),
        (["functional"], 3),
        (["functional", "lint"], 3),
        (["backup"], 2),
        (["restore"], 2),
        (["upgrade"], 1),
        (["upgrade", "functional"], 1),
        (["redeploy"], 0),
        (["install"], 0),
        (["install", "cleanup"], 0),
    ],
)
@pytest.mark.parametrize("outcome", ["fail", "unverified"])
def test_a_gap_caps_the_level(broken: list[str], reached: int, outcome: str) -> None:
    """The lowest stage that failed or is unverified decides."""
    cases = [a_case(name, outcome if name in broken else "pass") for name in plan.STAGES]
    assert level.level(level.stage_outcomes(plan.STAGES, cases)) == reached


@pytest.mark.parametrize("stage", ["upgrade", "backup", "functional", "lint"])
def test_a_skipped_stage_does_not_cap_the_level(stage: str) -> None:
    cases = [
        a_case(name, "skip" if name == stage else "pass", "n/a", structural=name == stage)
        for name in plan.STAGES
    ]
    assert level.level(level.stage_outcomes(plan.STAGES, cases)) == 5


def test_an_absent_stage_caps_the_level() -> None:
    """Leaving a stage out raises no level."""
    outcomes = level.stage_outcomes(["install"], [a_case("install", "pass")])
    assert level.level(outcomes) == 0
    assert level.level({}) == 0


def test_the_stage_that_caps_the_level_is_named() -> None:
    cases = [a_case(n, "fail" if n in ("lint", "restore") else "pass", n) for n in plan.STAGES]
    cap = level.capped_by(level.stage_outcomes(plan.STAGES, cases))
    assert cap is not None
    assert cap.name == "restore"
    whole = level.stage_outcomes(plan.STAGES, [a_case(n, "pass") for n in plan.STAGES])
    assert level.capped_by(whole) is None


def test_the_ladder_has_every_stage_once() -> None:
    """Only a recipe's own tests are outside of the level."""
    stages = [stage for rung in LADDER for stage in rung.stages]
    assert sorted(stages) == sorted(set(plan.STAGES) - plan.EXTRA)
    assert [rung.number for rung in LADDER] == [1, 2, 3, 4, 5]


def test_a_level_has_words() -> None:
    assert level.sentence(0) == "does not install"
    assert level.sentence(2) == "installs, upgrades and keeps its data"
    assert level.sentence(5).endswith("cleans up")


@pytest.mark.parametrize("lane", ["cold", "quick"])
def test_functional_is_planned_even_without_a_test(lane: plan.Lane) -> None:
    """A suite without functional tests cannot hide it by planning none."""
    order = plan.LANE_STAGES[lane]
    stages = [name for name in order if name != "functional"]
    found = level.gather([event_factory.started(*stages, lane=lane)])
    assert tuple(found.stages) == order
    assert found.whole


def test_a_run_with_one_stage_less_is_partial() -> None:
    """Incident P5."""
    found = level.gather([event_factory.started("install", "cleanup")])
    assert not found.whole
    assert tuple(found.stages) == ("install", "cleanup")
