"""Words and short forms that all texts about a run share: terminal, summary.md and marked line."""

from __future__ import annotations

from contract.markdown import printable
from harness.reporting import level
from harness.reporting.report import BEFORE_FIRST_STAGE, Report

MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "skip": "–", "unverified": "?"}
MAX_DETAIL_LINES = 25  # last lines of a failed case's details
MAX_LINE = 400  # characters
MAX_REASON = 160  # characters, in a table of stages


def verdict_words(report: Report) -> str:
    """Return the verdict with its meaning; a run that still goes on has none."""
    if report.running:
        return "still running"
    return f"{report.verdict.value}: {report.verdict.sentence}"


def level_words(report: Report) -> str:
    """Return the level with its meaning and the note on it."""
    if report.level is None:
        return report.level_note
    note = f" ({report.level_note})" if report.level_note else ""
    return f"level {report.level}: {level.sentence(report.level)}{note}"


def secrets_words(report: Report) -> str:
    """Return the result of the secret scan."""
    if report.no_secret_leak is None:
        return "the scan did not run"
    if report.no_secret_leak:
        return "none leaked"
    return f"A SECRET WAS FOUND and masked: {', '.join(report.leaks) or 'in the output'}"


def interrupted_words(report: Report) -> str:
    """Return where a run was interrupted, "" if it was not."""
    if not report.interrupted_in:
        return ""
    if report.interrupted_in == BEFORE_FIRST_STAGE:
        return f"interrupted {BEFORE_FIRST_STAGE}"
    return f"interrupted in stage '{report.interrupted_in}'"


def phases_line(report: Report) -> str:
    """Return the seconds of each phase, of the rest, and of the whole run, in one line."""
    parts = [f"{name} {seconds:.1f}" for name, seconds in report.phases.items()]
    parts.append(f"other {report.unaccounted:.1f}")
    return f"{', '.join(parts)}; total {report.seconds:.1f} s"


def last_lines(details: str) -> list[str]:
    """Return the last lines of a case's details, each cut to a readable length."""
    lines = [printable(line.rstrip())[:MAX_LINE] for line in details.splitlines()]
    return lines[-MAX_DETAIL_LINES:]


def short_reason(reason: str) -> str:
    """Return a reason cut to what fits into a table of stages."""
    return reason if len(reason) <= MAX_REASON else reason[: MAX_REASON - 1] + "…"
