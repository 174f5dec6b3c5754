"""A finished run as one marked line: all that a reader needs who has the build's log and no disk of ours."""

from __future__ import annotations

import json
from typing import Any

from harness.reporting import junit
from harness.reporting.events import LONGEST_TOLD, MARK
from harness.reporting.level import Case
from harness.reporting.report import Report, last_lines, level_words

FAILED_TOLD = 8  # failed cases whose lines are told; the rest is in the run's directory
LINES_TOLD = 15  # last lines of a failed case
LINE_TOLD = 200  # characters
NOTES_TOLD = 8


def line(report: Report) -> str:
    """Return the line; plain ASCII, so that no reader finds a line's end inside it."""
    body: dict[str, Any] = {
        "t": report.finished,
        "event": "run-report",
        **{key: getattr(report, key) for key in ("run", "recipe", "ref", "pr", "src", "lane")},
        "version": report.version,
        "base_version": report.base_version,
        "partial": report.partial,
        "verdict": report.verdict.value,
        "verdict_sentence": report.verdict.sentence,
        "commit_state": report.commit_state,
        "reason": _short(report.reason),
        "stage": report.stage,
        "interrupted_in": report.interrupted_in,
        "level": report.level,
        "level_words": _short(level_words(report)),
        "seconds": report.seconds,
        "no_secret_leak": report.no_secret_leak,
        "stages": [
            {"name": s.name, "outcome": s.outcome, "seconds": s.seconds, "reason": _short(s.reason)}
            for s in report.stages
        ],
        "junit": {key: float(value) for key, value in junit.counts_of(report).items()},
        "failed": [_case(case) for case in report.failed[:FAILED_TOLD]],
        "failed_in_all": len(report.failed),
        "notes": [_short(note) for note in report.notes[:NOTES_TOLD]],
        "evidence": [item.path for item in report.evidence],
        "repeat": report.repeat,
    }
    return MARK + json.dumps(body)


def _case(case: Case) -> dict[str, object]:
    lines = last_lines(case.details)[-LINES_TOLD:] if case.details else []
    return {
        "id": _short(case.id),
        "stage": case.stage,
        "life": case.life,
        "outcome": case.outcome,
        "message": _short(case.message),
        "lines": [text[:LINE_TOLD] for text in lines],
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_TOLD else text[: LONGEST_TOLD - 1] + "…"
