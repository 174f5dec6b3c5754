"""Which lines of a build's log the bridge accepts: whole, valid marked lines."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from bridge.builds import drone_log
from bridge.builds.drone_log import LogReader
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


def test_marked_lines_are_read() -> None:
    """So the tests below do not pass because every line is ignored."""
    reader = drone_log.read(f"noise\n{STARTED}\n{line(REPORT)}")
    assert reader.progress.now == "install"
    assert reader.report is not None and reader.report.verdict == "passed"


@pytest.mark.parametrize(
    "before", [" ", "\t", "| ", "x", "x\r", "\u2028", "x\x85", "\x0b", "\x1b[0m"]
)
def test_marker_within_a_line_is_ignored(before: str) -> None:
    """Only a line feed ends a line, so no other character from an app can start one."""
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
def test_invalid_marked_line_is_ignored(text: str) -> None:
    """The lines after it are read."""
    reader = LogReader()
    assert not reader.feed(f"{MARKER}{text}\n") and reader.report is None
    assert reader.feed(f"{STARTED}\n")


def test_too_long_line_is_ignored() -> None:
    """The rest of such a line is not taken for a line."""
    long = MARKER + json.dumps({"event": "stage-started", "stage": "install", "x": "y" * MAX_LINE})
    assert drone_log.read(f"{long}\n").progress.now == ""
    reader = LogReader()
    assert not reader.feed("x" * (MAX_LINE + 1))
    assert not reader.feed(f"{STARTED}\n")
    assert reader.feed(f"{STARTED}\n")


def test_endless_line_needs_limited_memory() -> None:
    reader = LogReader()
    for _ in range(20):
        reader.feed("x" * MAX_LINE)
    assert len(pickle.dumps(reader)) < 2 * MAX_LINE


@pytest.mark.parametrize(
    "name", ["@alice", "a\nb", "A", "", "a" * 42, None, 7, ["lint"], "`x`", "a|b"]
)
def test_invalid_stage_name_is_not_repeated(name: object) -> None:
    """Comments and commit statuses contain names of stages."""
    log = line({"event": "run-started", "run": "17", "stages": [name]})
    log += line({"event": "stage-started", "stage": name})
    log += line({"event": "case", "stage": name, "outcome": "pass"})
    log += line({**REPORT, "stage": name or "@bob"})
    reader = drone_log.read(log)
    assert (reader.progress.stages, reader.progress.now) == (("unknown",), "unknown")
    assert list(reader.progress.outcomes) == ["unknown"]
    assert reader.report is not None and reader.report.stage == "unknown"


def test_number_of_stages_is_limited() -> None:
    """Each is a row of a table."""
    found = drone_log.read(line({"event": "run-started", "stages": ["lint"] * 1000}))
    assert len(found.progress.stages) == 50


def test_outcome_is_cut_and_a_failure_stays() -> None:
    """A later case that passes does not hide it."""
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
def test_invalid_report_is_ignored(key: str, value: object) -> None:
    """The bridge then judges the build without a report."""
    assert drone_log.read(line({**REPORT, key: value})).report is None


def test_texts_of_a_report_are_cut() -> None:
    """An app may have written them."""
    report = drone_log.read(line({**REPORT, "reason": "x" * 9000, "notes": ["y" * 9000]})).report
    assert report is not None
    assert (len(report.reason), len(report.notes[0])) == (2000, 2000)
