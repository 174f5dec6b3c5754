"""The verdict of a run: green only if every planned stage was proven."""

from __future__ import annotations

import pytest

from contract.verdicts import Verdict
from harness import plan
from harness.reporting import level
from harness.reporting.events import Event
from harness.reporting.verdict import Judgement
from tests.support import event_factory
from tests.support.event_factory import case, finished, judge, run, started


@pytest.mark.parametrize(
    ("name", "expected", "stage"),
    [
        ("green", "passed", ""),
        ("quick", "passed", ""),
        ("red-install", "recipe", "install"),
        ("unclean-teardown", "infra", "cleanup"),
        ("interrupted", "interrupted", "backup"),
        ("torn", "interrupted", "backup"),
    ],
)
def test_the_verdicts_of_stored_runs(name: str, expected: str, stage: str) -> None:
    found = judge(event_factory.stored(name))
    assert (found.verdict, found.stage) == (expected, stage)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (["infra", "recipe"], "recipe"),
        (["timeout", "suite"], "suite"),
        (["infra", "timeout"], "timeout"),
        (["suite", "recipe", "infra"], "recipe"),
        (["infra"], "infra"),
    ],
)
def test_the_gravest_fault_decides(faults: list[str], expected: str) -> None:
    """A fault of the recipe before one of the suite, then timeouts, then infrastructure problems."""
    bad = [case("restore", "fail", fault=fault, message=f"{fault}!") for fault in faults]
    found = judge(run(*bad))
    assert (found.verdict, found.reason, found.stage) == (expected, f"{expected}!", "restore")


@pytest.mark.parametrize(
    ("bad", "expected", "reason"),
    [
        (case("install", "fail"), "infra", "test_install_fail failed"),
        (case("install", "error", message="broke"), "infra", "broke"),
        (case("upgrade", "unverified", message="base gone", fault="infra"), "infra", "base gone"),
        (case("backup", "unverified", message="not run"), "infra", "not run"),
        (case("backup", "skip", message="later"), "suite", "every test was skipped: later"),
        (case("cleanup", "skip", structural=True), "infra", "cleanup was not verified"),
    ],
)
def test_a_failed_or_unverified_case_keeps_a_run_from_being_green(
    bad: Event, expected: str, reason: str
) -> None:
    """And so does an unverified cleanup (L1, L2)."""
    found = judge(run(bad))
    assert found.verdict == expected
    assert reason in found.reason


@pytest.mark.parametrize("stage", [name for name in plan.STAGES if name != "functional"])
def test_a_planned_stage_without_a_case_is_not_green(stage: str) -> None:
    cases = [case(name) for name in plan.STAGES if name != stage]
    found = judge([started(*plan.STAGES), *cases, finished()])
    assert found.verdict is Verdict.INFRA
    assert stage in found.reason


def test_a_suite_without_a_functional_test_can_be_green() -> None:
    """It caps the level only."""
    events = [event for event in run() if event.data.get("stage") != "functional"]
    assert judge(events).verdict is Verdict.PASSED


def test_skipped_functional_tests_are_not_green() -> None:
    """Tests that did not run are worse than no tests (L2)."""
    found = judge(run(case("functional", "skip", message="needs an account")))
    assert found.verdict is Verdict.SUITE


def test_a_declared_skip_is_green() -> None:
    skipped = case("backup", "skip", message="keeps no data", structural=True)
    assert judge(run(skipped)).verdict is Verdict.PASSED


def test_a_run_in_which_nothing_passed_is_not_green() -> None:
    """A suite that declares everything not applicable tests nothing (I3)."""
    found = judge([started("lint"), case("lint", "skip", structural=True), finished()])
    assert (found.verdict, found.reason) == (Verdict.SUITE, "nothing was tested")


def test_a_run_without_a_single_case_is_not_green() -> None:
    """It is an infrastructure problem (I3, P1)."""
    assert judge([started(), finished()]).verdict is Verdict.INFRA


def test_a_recorded_green_counts_only_if_the_cases_support_it() -> None:
    """The verdict follows the cases, not a claim (P2)."""
    bad = case("backup", "fail", fault="recipe", message="lost")
    claim = finished(verdict="passed")
    assert judge(run(bad, end=claim)).verdict is Verdict.RECIPE
    assert judge(run(end=claim)).verdict is Verdict.PASSED


@pytest.mark.parametrize("name", ["recipe", "suite", "timeout", "infra", "cancelled"])
def test_any_other_recorded_verdict_counts(name: str) -> None:
    found = judge(run(end=finished(verdict=name, reason="because")))
    assert (found.verdict, found.reason) == (name, "because")


def test_a_recorded_verdict_without_a_reason_takes_that_of_the_case_with_its_fault() -> None:
    bad = case("backup", "fail", fault="recipe", message="lost")
    found = judge(run(bad, end=finished(verdict="recipe", reason=None)))
    assert (found.reason, found.stage) == ("lost", "backup")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("interrupted by SIGTERM", "interrupted"),
        ("cancelled: the process that started this run is gone", "cancelled"),
        ("timeout: the run's own deadline of 3000 s passed", "timeout"),
        ("", "interrupted"),
    ],
)
def test_the_reason_of_an_interrupted_run(reason: str, expected: str) -> None:
    """Its first word distinguishes an interruption, a cancellation and a timeout."""
    events = [started(), case("lint"), finished(how="interrupted", reason=reason)]
    found = judge(events)
    assert found.verdict == expected
    assert found.reason == (reason or "the run died in or right after stage 'lint'")


def test_a_failure_before_a_run_died_counts() -> None:
    bad = case("install", "fail", fault="recipe", message="crash loop")
    assert judge([started(), case("lint"), bad]).verdict is Verdict.RECIPE


def test_a_cancelled_run_is_not_a_failure_of_the_recipe() -> None:
    bad = case("install", "fail", fault="recipe", message="crash loop")
    end = finished(how="interrupted", reason="cancelled: a newer run")
    assert judge([started(), bad, end]).verdict is Verdict.CANCELLED


@pytest.mark.parametrize(
    ("events", "place"),
    [
        ([], "before anything was recorded"),
        ([Event(1.0, "phase", {"phase": "fetch"})], "after phase 'fetch'"),
        ([started(), case("install")], "in or right after stage 'install'"),
        (
            [started(), case("install"), Event(9.0, "stage-started", {"stage": "backup"})],
            "in stage 'backup'",
        ),
    ],
)
def test_a_run_that_died_says_where(events: list[Event], place: str) -> None:
    found = judge(events)
    assert found.verdict is Verdict.INTERRUPTED
    assert place in found.reason


def test_an_interrupted_case_is_nobodys_fault() -> None:
    """The case that ran when the signal arrived is unverified, the run interrupted."""
    cut = case("install", "unverified", fault="interrupted", message="interrupted")
    end = finished(how="interrupted", reason="interrupted by SIGINT")
    assert judge([started(), cut, end]).verdict is Verdict.INTERRUPTED


def test_an_unknown_recorded_verdict_is_ignored() -> None:
    assert judge(run(end=finished(verdict="splendid"))).verdict is Verdict.PASSED


def scanned(clean: object, *files: str) -> Event:
    """Return the event of a secret scan."""
    return Event(101.5, "scan", {"clean": clean, "files": list(files)})


def ended_with(*events: Event) -> Judgement:
    """Judge a run in which all stages passed, with these events before its end."""
    whole = run()
    return judge([*whole[:-1], *events, whole[-1]])


def test_a_tampered_record_is_not_green() -> None:
    found = ended_with(Event(101.5, "tampered", {"text": "something other than the harness wrote"}))
    assert (found.verdict, found.reason) == (
        Verdict.SUITE,
        "something other than the harness wrote",
    )


@pytest.mark.parametrize("clean", [False, "yes", None])
def test_a_leaked_secret_is_not_green(clean: object) -> None:
    """Only a secret scan that says true is clean."""
    found = ended_with(scanned(True), scanned(clean, "junit.xml"))
    assert (found.verdict, found.reason) == (Verdict.INFRA, "secret found in junit.xml")
    assert ended_with(scanned(False, "x"), scanned(True)).verdict is Verdict.PASSED


def test_a_run_without_cleanup_is_not_green() -> None:
    """Even if none was planned."""
    found = judge([started("lint"), case("lint"), finished()])
    assert (found.verdict, found.stage) == (Verdict.INFRA, "cleanup")


@pytest.mark.parametrize("fault", ["recipe", "suite", "timeout"])
def test_an_unverified_case_with_a_fault_decides_like_a_failure(fault: str) -> None:
    found = judge(run(case("restore", "unverified", fault=fault)))
    assert (found.verdict, found.stage) == (fault, "restore")


def test_a_skip_next_to_an_unverified_case_is_not_the_suites_fault() -> None:
    """The suite is at fault only if nothing but its own skips is unverified."""
    bad = (case("backup", "skip", message="later"), case("backup", "unverified", message="x"))
    assert judge(run(*bad)).verdict is Verdict.INFRA


def test_only_true_makes_a_skip_structural() -> None:
    skipped = case("backup", "skip", message="later", structural="no")
    assert judge(run(skipped)).verdict is Verdict.SUITE


def test_the_last_recorded_end_counts() -> None:
    whole = [*run(), finished(verdict="cancelled")]
    assert judge(whole).verdict is Verdict.CANCELLED


def test_a_negative_control_without_a_result_is_missing() -> None:
    """It was planned and shows nothing."""
    planned = "kept[while-stopped]"
    broken = Event(101.5, "control", {"id": planned, "outcome": "error"})
    rest = run()[1:]
    found = judge([started(planned=[planned]), broken, *rest])
    assert (found.verdict, found.reason) == (
        Verdict.INFRA,
        f"{planned} was planned but not reached",
    )


def test_a_superficial_check_makes_only_stages_of_the_suite_unverified() -> None:
    """The harness itself proves an installation."""
    superficial = Event(101.5, "control", {"id": "kept[while-stopped]", "outcome": "superficial"})
    kept = [case(stage, id=f"kept[{stage}]") for stage in ("install", "restore")]
    stages = level.gather([*run(*kept), superficial]).stages
    assert (stages["install"].outcome, stages["restore"].outcome) == ("pass", "unverified")
