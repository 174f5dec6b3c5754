"""Words and short forms that all texts about a run share: terminal, summary.md, marked line."""

from __future__ import annotations

from contract.markdown import printable
from harness.reporting import level
from harness.reporting.report import Report

MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "skip": "–", "unverified": "?"}
MAX_DETAIL_LINES = 25  # last lines of a failed case's details
MAX_LINE = 400  # characters
MAX_CELL = 160  # characters of a reason in a table


def verdict_words(report: Report) -> str:
    """Return the verdict with its meaning; a run that lives has none yet."""
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
    """Return in words whether the run's secrets stayed out of its files."""
    if report.no_secret_leak is None:
        return "no last look for secrets: the run ended before it"
    if report.no_secret_leak:
        return "no secret of the run stands in any of its files"
    return f"A SECRET WAS FOUND and masked: {', '.join(report.leaks) or 'in the output'}"


def phases_line(report: Report) -> str:
    """Return the time of each phase, the rest, and all of it, in one line."""
    told = [f"{name} {seconds:.1f}" for name, seconds in report.phases.items()]
    told.append(f"outside of phases {report.unaccounted:.1f}")
    return f"{', '.join(told)}; {report.seconds:.1f} s in all"


def last_lines(details: str) -> list[str]:
    """Return the last lines of a case's details, each cut to a length that can be read."""
    lines = [printable(line.rstrip())[:MAX_LINE] for line in details.splitlines()]
    return lines[-MAX_DETAIL_LINES:]


def cut(text: str) -> str:
    """Return a text that fits the cell of a table."""
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"
