"""What the bridge believes of a build's log: whole marked lines of the expected form, and names in them."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from bridge.builds import drone_log
from bridge.builds.drone_log import Reading
from contract.marker import MARKER, MAX_LINE

REPORT: dict[str, Any] = {
    "event": "run-report",
    "run": "17",
    "recipe": "shop",
    "ref": "a" * 40,
    "lane": "cold",
    "verdict": "passed",
    "commit_state": "success",
    "stage": "install",
    "level": 5,
}
STAGE = {"name": "lint", "outcome": "pass"}
CASE = {"id": "test_it", "outcome": "fail"}
STARTED = MARKER + json.dumps({"event": "stage-started", "stage": "install"})


def line(row: object) -> str:
    """Return a marked line."""
    return f"{MARKER}{json.dumps(row)}\n"


def test_a_marked_line_is_heard() -> None:
    """What follows is not passed over because everything is."""
    reading = drone_log.read(f"noise\n{STARTED}\n{line(REPORT)}")
    assert reading.progress.now == "install"
    assert reading.report is not None and reading.report.verdict == "passed"


@pytest.mark.parametrize(
    "before", [" ", "\t", "| ", "x", "x\r", "\u2028", "x\x85", "\x0b", "\x1b[0m"]
)
def test_a_mark_that_does_not_begin_a_line_is_noise(before: str) -> None:
    """Only a line feed ends a line, so that no other sign of an app's makes a beginning."""
    assert drone_log.read(f"{before}{STARTED}\n").progress.now == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "{}", "[]", "null", '"x"', "1", "[" * 100_000, '{"event": "case"}'),
        *('{"event": "stage-started"}', '{"event": "run-started", "stages": 5}'),
        *('{"event": ["run-report"]}', '{"event": "run-report"}', '{"event": "state"}'),
    ],
    ids=lambda text: text[:30],
)
def test_a_marked_line_of_another_form_is_noise(text: str) -> None:
    """It tells nothing and ends nothing."""
    reading = Reading()
    assert not reading.feed(f"{MARKER}{text}\n") and reading.report is None
    assert reading.feed(f"{STARTED}\n")


def test_a_line_that_is_too_long_is_noise() -> None:
    """Nor does what comes after its first part become a line of its own."""
    long = MARKER + json.dumps({"event": "stage-started", "stage": "install", "x": "y" * MAX_LINE})
    assert drone_log.read(f"{long}\n").progress.now == ""
    reading = Reading()
    assert not reading.feed("x" * (MAX_LINE + 1))
    assert not reading.feed(f"{STARTED}\n")
    assert reading.feed(f"{STARTED}\n")


def test_a_line_without_an_end_is_not_kept() -> None:
    """However much an app prints, what is remembered of it has a bound."""
    reading = Reading()
    for _ in range(20):
        reading.feed("x" * MAX_LINE)
    assert len(pickle.dumps(reading)) < 2 * MAX_LINE


@pytest.mark.parametrize(
    "name", ["@alice", "a\nb", "A", "", "a" * 42, None, 7, ["lint"], "`x`", "a|b"]
)
def test_what_is_no_name_of_a_stage_is_not_repeated(name: object) -> None:
    """Stages are told by name in comments and statuses."""
    log = line({"event": "run-started", "run": "17", "stages": [name]})
    log += line({"event": "stage-started", "stage": name})
    log += line({"event": "case", "stage": name, "outcome": "pass"})
    log += line({**REPORT, "stage": name or "@bob"})
    reading = drone_log.read(log)
    assert (reading.progress.stages, reading.progress.now) == (["unknown"], "unknown")
    assert list(reading.progress.outcomes) == ["unknown"]
    assert reading.report is not None and reading.report.stage == "unknown"


def test_no_more_stages_are_told_than_a_run_may_have() -> None:
    """Each is a row of a table."""
    found = drone_log.read(line({"event": "run-started", "stages": ["lint"] * 1000}))
    assert len(found.progress.stages) == 50


def test_an_outcome_is_a_word_and_a_bad_one_stays() -> None:
    """A case that passes takes back none that failed."""
    outcomes = ("pass", "fail", "pass", "x" * 5000)
    found = drone_log.read(
        "".join(line({"event": "case", "stage": "lint", "outcome": word}) for word in outcomes)
    )
    assert found.progress.outcomes == {"lint": "fail"}
    assert (
        len(
            drone_log.read(
                line({"event": "case", "stage": "a", "outcome": "x" * 99})
            ).progress.outcomes["a"]
        )
        == 20
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("run", "../x"), ("run", ""), ("run", "a" * 101), ("run", "a/b"), ("run", "17\n")),
        *(("lane", "both"), ("verdict", "green"), ("commit_state", "ok")),
        *(("level", 10), ("level", -1), ("level", "much")),
        *(("stages", [STAGE] * 51), ("stages", [{**STAGE, "name": "@alice"}])),
        ("stages", [{**STAGE, "outcome": "great"}]),
        *(("failed", [CASE] * 51), ("failed", [{**CASE, "outcome": "great"}])),
        *(("failed", [{**CASE, "lines": ["x"] * 51}]), ("notes", ["x"] * 51)),
        ("evidence", ["x"] * 501),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_report_of_another_form_is_no_report(key: str, value: object) -> None:
    """A build whose harness tells what it never tells has no verdict of its own."""
    assert drone_log.read(line({**REPORT, key: value})).report is None


def test_texts_of_a_report_are_cut() -> None:
    """Each of them is written by an app, or may be."""
    report = drone_log.read(line({**REPORT, "reason": "x" * 9000, "notes": ["y" * 9000]})).report
    assert report is not None
    assert (len(report.reason), len(report.notes[0])) == (2000, 2000)
