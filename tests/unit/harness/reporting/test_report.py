"""The report of a run: complete, no matter how the run stopped."""

from __future__ import annotations

import dataclasses
import json

import pytest

from contract.verdicts import Verdict
from harness import plan
from harness.reporting import report, words
from harness.reporting.events import Event
from harness.reporting.report import Evidence, Report
from tests.support.event_factory import case, finished, phase, started, stored


def made(name: str) -> Report:
    """Return the report of a stored run."""
    return report.build(stored(name))


def test_a_green_run() -> None:
    found = made("green")
    assert (found.run, found.recipe, found.pr, found.lane) == ("212", "custom-html", "7", "cold")
    assert (found.version, found.base_version) == ("1.1.1+1.22.1", "1.1.0+1.22.1")
    assert [stage.outcome for stage in found.stages] == ["pass"] * 8
    assert (found.level, found.level_note, found.verdict) == (5, "", "passed")
    assert (found.reason, found.stage, found.interrupted_in) == ("", "", "")
    assert Evidence("log", "logs/fresh-app.log") in found.evidence
    assert found.notes == ("abra is the sandbox's stand-in, not the real one",)


def test_a_failed_install() -> None:
    """The first failure decides; stages that depend on it are unverified."""
    found = made("red-install")
    outcomes = {stage.name: stage.outcome for stage in found.stages}
    assert outcomes["install"] == "fail"
    assert {outcomes[n] for n in ("functional", "backup", "restore", "upgrade")} == {"unverified"}
    assert (found.verdict, found.stage, found.level) == ("recipe", "install", 0)
    assert "crash loop" in found.reason
    assert [c.id for c in found.failed] == ["test_install[miniflux]", "test_base[miniflux]"]
    assert found.level_note == "capped: install failed"


def test_a_run_that_died_says_in_which_stage() -> None:
    """It has no level, and the results so far are kept."""
    found = made("interrupted")
    assert (found.verdict, found.interrupted_in, found.level) == ("interrupted", "backup", None)
    assert [s.name for s in found.stages if s.outcome == "pass"] == [
        "lint",
        "install",
        "functional",
        "redeploy",
    ]


def test_half_a_line_at_the_end_changes_nothing() -> None:
    assert made("torn") == made("interrupted")


def test_a_quick_run_has_no_level_and_says_so() -> None:
    """Its label says that it proves less."""
    found = made("quick")
    assert (found.verdict, found.level, found.partial) == ("passed", None, False)
    assert "lower confidence" in words.level_words(found)


def test_an_unclean_teardown_is_an_infrastructure_error_whose_level_does_not_count() -> None:
    """The leftover is named; the recipe is not at fault (L1)."""
    found = made("unclean-teardown")
    assert (found.verdict, found.stage, found.level) == ("infra", "cleanup", 4)
    assert "5b7556-custom-html_ci_test_content" in found.reason
    assert found.level_note.startswith("does not count")


def test_a_partial_run_has_no_level() -> None:
    """Some stages that pass do not prove all of them (P5)."""
    found = report.build(
        [started("install", "cleanup"), case("install"), case("cleanup"), finished()]
    )
    assert (found.verdict, found.partial, found.level) == ("passed", True, None)
    assert "partial" in words.level_words(found)


def test_a_suite_without_a_functional_test_reaches_level_3() -> None:
    """It is green, with the reason why it is not higher (L4)."""
    stages = [name for name in plan.STAGES if name != "functional"]
    found = report.build([started(*stages), *(case(name) for name in stages), finished()])
    assert (found.verdict, found.level, found.partial) == ("passed", 3, False)
    assert found.level_note == "capped: the suite has no functional test"


def test_a_run_whose_process_is_alive_is_running_not_interrupted() -> None:
    found = report.build(stored("interrupted"), alive=True)
    assert (found.running, found.interrupted_in, found.colour) == (True, "", "grey")
    assert words.verdict_words(found) == "still running"
    assert found.reason == "now in stage 'backup'"


def test_a_finished_run_is_not_running_even_if_its_process_is_alive() -> None:
    assert not report.build(stored("green"), alive=True).running


def test_a_report_depends_on_the_events_only() -> None:
    assert made("green") == made("green")


def test_a_report_is_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made("green").verdict = Verdict.PASSED  # type: ignore[misc]


# %% Times


def test_phases_are_summed_by_life_and_in_total() -> None:
    found = report.build(
        [
            phase(1.0, "queue", 1.0, None),
            phase(4.0, "deploy", 3.0),
            phase(9.0, "deploy", 2.5, "upgrade"),
        ]
    )
    assert found.phases == {"queue": 1.0, "deploy": 5.5}
    assert found.lives == {
        "": {"queue": 1.0},
        "fresh": {"deploy": 3.0},
        "upgrade": {"deploy": 2.5},
    }


@pytest.mark.parametrize(
    ("phases", "rest"),
    [
        ([], 10.0),
        ([phase(104.0, "deploy", 4.0)], 6.0),
        ([phase(104.0, "deploy", 4.0), phase(110.0, "teardown", 6.0)], 0.0),
        ([phase(103.0, "health", 1.0), phase(104.0, "deploy", 4.0)], 6.0),
        ([phase(104.0, "a", 4.0), phase(106.0, "b", 4.0, "upgrade")], 4.0),
        ([phase(104.0, "deploy", 999.0)], 6.0),
        ([phase(104.0, "deploy", "soon")], 10.0),
    ],
)
def test_the_time_outside_of_phases(phases: list[Event], rest: float) -> None:
    """Phases within one another and at the same time are not counted twice."""
    begin, end = Event(100.0, "note", {"text": "a"}), Event(110.0, "note", {"text": "b"})
    found = report.build([begin, *phases, end])
    assert (found.seconds, found.unaccounted) == (10.0, rest)


# %% The command to repeat it


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (started(ref="a" * 40), f"pytest recipes_tests --recipe custom-html --ref {'a' * 40}"),
        (
            started(ref="a" * 40, src="someone/custom-html"),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --src someone/custom-html",
        ),
        (
            started(ref="a" * 40, lane="quick"),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --quick",
        ),
        (
            started("cleanup", "install", ref="a" * 40),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --stages install,cleanup",
        ),
        (started(ref=""), "pytest recipes_tests --recipe custom-html"),
        (
            started(ref="x; rm -rf /"),
            "pytest recipes_tests --recipe custom-html --ref 'x; rm -rf /'",
        ),
        (Event(1.0, "note", {}), ""),
    ],
)
def test_the_command_to_reproduce_a_run(event: Event, command: str) -> None:
    """The same recipe, commit, source, lane and stages."""
    assert report.build([event]).repeat == command


# %% For machines


def test_the_json_has_the_meaning_of_the_verdict() -> None:
    """Readers need no copy of our tables."""
    body = json.loads(report.to_json(made("red-install")))
    assert (body["schema"], body["verdict"], body["colour"]) == (1, "recipe", "red")
    assert (body["exit_status"], body["commit_state"]) == (1, "failure")
    assert body["stages"][1] == {
        "name": "install",
        "outcome": "fail",
        "reason": body["reason"],
        "cases": 4,
        "seconds": 13.369,
    }
    assert body["evidence"][0] == {"kind": "log", "path": "logs/fresh-app.log"}
