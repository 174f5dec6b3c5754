"""The verdict: exactly one of a closed list, and green only when everything was shown."""

from __future__ import annotations

import pytest

from contract.verdicts import Verdict
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
def test_stored_runs(name: str, expected: str, stage: str) -> None:
    """Each stored run ends in its verdict, decided by its stage."""
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
    """The recipe's fault before the suite's, then deadlines, then our own trouble."""
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
def test_what_keeps_a_run_from_being_green(bad: Event, expected: str, reason: str) -> None:
    """Anything failed or unverified, or no proof of a clean host (L1, L2)."""
    found = judge(run(bad))
    assert found.verdict == expected
    assert reason in found.reason


@pytest.mark.parametrize("stage", ["lint", "install", "upgrade", "backup", "restore", "cleanup"])
def test_a_planned_stage_without_a_case_is_not_green(stage: str) -> None:
    """Every planned stage is accounted for."""
    events = [event for event in run() if event.data.get("stage") != stage]
    found = judge(events)
    assert found.verdict is Verdict.INFRA
    assert stage in found.reason


def test_a_suite_without_a_functional_test_can_be_green() -> None:
    """It caps the level, and that is all."""
    events = [event for event in run() if event.data.get("stage") != "functional"]
    assert judge(events).verdict is Verdict.PASSED


def test_skipped_functional_tests_are_not_green() -> None:
    """Having tests that did not run is worse than having none (L2)."""
    found = judge(run(case("functional", "skip", message="needs an account")))
    assert found.verdict is Verdict.SUITE


def test_a_declared_skip_is_green() -> None:
    """What the suite declared not applicable with its reason is no gap."""
    skipped = case("backup", "skip", message="keeps no data", structural=True)
    assert judge(run(skipped)).verdict is Verdict.PASSED


def test_a_run_in_which_nothing_passed_is_not_green() -> None:
    """Everything not applicable tests nothing (I3)."""
    found = judge([started("lint"), case("lint", "skip", structural=True), finished()])
    assert (found.verdict, found.reason) == (Verdict.SUITE, "nothing was tested")


def test_a_run_without_a_single_case_is_not_green() -> None:
    """A run that ends without having done anything is our trouble (I3, P1)."""
    assert judge([started(), finished()]).verdict is Verdict.INFRA


def test_a_recorded_green_is_believed_only_if_the_cases_bear_it_out() -> None:
    """The label is read from the cases, not from what somebody claims (P2)."""
    bad = case("backup", "fail", fault="recipe", message="lost")
    claim = finished(verdict="passed")
    assert judge(run(bad, end=claim)).verdict is Verdict.RECIPE
    assert judge(run(end=claim)).verdict is Verdict.PASSED


@pytest.mark.parametrize("name", ["recipe", "suite", "timeout", "infra", "cancelled"])
def test_any_other_recorded_end_wins(name: str) -> None:
    """Whoever ended the run knew why."""
    found = judge(run(end=finished(verdict=name, reason="because")))
    assert (found.verdict, found.reason) == (name, "because")


def test_a_recorded_verdict_without_a_reason_takes_that_of_its_case() -> None:
    """The case with the same fault explains it."""
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
def test_an_ended_run_says_why(reason: str, expected: str) -> None:
    """The word its reason begins with tells an interruption from a cancellation."""
    events = [started(), case("lint"), finished(how="interrupted", reason=reason)]
    found = judge(events)
    assert found.verdict == expected
    assert found.reason == (reason or "the run died in or right after stage 'lint'")


def test_a_failure_before_the_death_of_a_run_stands() -> None:
    """What is known of the recipe does not get lost with the run."""
    bad = case("install", "fail", fault="recipe", message="crash loop")
    assert judge([started(), case("lint"), bad]).verdict is Verdict.RECIPE


def test_a_cancelled_run_says_nothing_of_its_recipe() -> None:
    """Who cancelled a run wants no verdict on it."""
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
def test_a_dead_run_says_where_it_ended(events: list[Event], place: str) -> None:
    """As closely as the last event tells."""
    found = judge(events)
    assert found.verdict is Verdict.INTERRUPTED
    assert place in found.reason


def test_an_interrupted_case_blames_nobody() -> None:
    """The case that was running when the signal came is unverified, the run interrupted."""
    cut = case("install", "unverified", fault="interrupted", message="interrupted")
    end = finished(how="interrupted", reason="interrupted by SIGINT")
    assert judge([started(), cut, end]).verdict is Verdict.INTERRUPTED


def test_a_verdict_of_a_newer_list_is_judged_from_the_cases() -> None:
    """An unknown word is no verdict."""
    assert judge(run(end=finished(verdict="splendid"))).verdict is Verdict.PASSED


def scanned(clean: object, *files: str) -> Event:
    """Return a look for secrets."""
    return Event(101.5, "scan", {"clean": clean, "files": list(files)})


def ended_with(*events: Event) -> Judgement:
    """Judge a run in which all passed and these were recorded before its end."""
    whole = run()
    return judge([*whole[:-1], *events, whole[-1]])


def test_what_somebody_else_wrote_into_the_record_is_not_green() -> None:
    """Nobody can say then what of it is true."""
    found = ended_with(Event(101.5, "tampered", {"text": "something else wrote"}))
    assert (found.verdict, found.reason) == (Verdict.SUITE, "something else wrote")


@pytest.mark.parametrize("clean", [False, "yes", None])
def test_a_secret_in_what_is_kept_is_not_green(clean: object) -> None:
    """The last look counts, and only a plain yes is one."""
    found = ended_with(scanned(True), scanned(clean, "junit.xml"))
    assert (found.verdict, found.reason) == (Verdict.INFRA, "secret found in junit.xml")
    assert ended_with(scanned(False, "x"), scanned(True)).verdict is Verdict.PASSED


def test_a_run_that_never_looked_for_what_it_left_is_not_green() -> None:
    """Also where nobody planned to."""
    found = judge([started("lint"), case("lint"), finished()])
    assert (found.verdict, found.stage) == (Verdict.INFRA, "cleanup")


@pytest.mark.parametrize("fault", ["recipe", "suite", "timeout"])
def test_an_unverified_case_is_its_faults(fault: str) -> None:
    """What keeps a stage from being proven is somebody's, as a failure is."""
    found = judge(run(case("restore", "unverified", fault=fault)))
    assert (found.verdict, found.stage) == (fault, "restore")


def test_a_skip_beside_what_could_not_run_does_not_blame_the_suite() -> None:
    """The suite is to blame only where its own skips are all that is open."""
    bad = (case("backup", "skip", message="later"), case("backup", "unverified", message="x"))
    assert judge(run(*bad)).verdict is Verdict.INFRA


def test_only_a_plain_yes_declares_a_skip() -> None:
    """A word in its place is none."""
    skipped = case("backup", "skip", message="later", structural="no")
    assert judge(run(skipped)).verdict is Verdict.SUITE


def test_the_last_end_of_a_record_counts() -> None:
    """An earlier one was not the end."""
    whole = [*run(), finished(verdict="cancelled")]
    assert judge(whole).verdict is Verdict.CANCELLED


def test_a_control_that_says_nothing_is_missing() -> None:
    """One that neither held nor passed was planned and shows nothing."""
    planned = "kept[while-stopped]"
    broken = Event(101.5, "control", {"id": planned, "outcome": "error"})
    rest = run()[1:]
    found = judge([started(planned=[planned]), broken, *rest])
    assert (found.verdict, found.reason) == (
        Verdict.INFRA,
        f"{planned} was planned but not reached",
    )


def test_a_superficial_check_takes_weight_only_from_what_rests_on_it() -> None:
    """An installation is proven by the harness itself."""
    hollow = Event(101.5, "control", {"id": "kept[while-stopped]", "outcome": "superficial"})
    kept = [case(stage, id=f"kept[{stage}]") for stage in ("install", "restore")]
    stages = level.gather([*run(*kept), hollow]).stages
    assert (stages["install"].outcome, stages["restore"].outcome) == ("pass", "unverified")
