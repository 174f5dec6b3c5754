"""A run on a terminal: a line for each step while it goes on, and a summary at its end."""

from __future__ import annotations

from pathlib import Path

from contract.markdown import printable
from contract.marker import quote_markers
from harness.reporting.level import StageResult
from harness.reporting.report import Report
from harness.reporting.words import (
    MARKS,
    interrupted_words,
    last_lines,
    level_words,
    phases_line,
    secrets_words,
    short_reason,
    verdict_words,
)

WIDTH = 78  # characters
MIN_STAGE_WIDTH = 11  # characters; the column is as wide as the longest name


def progress_line(elapsed_seconds: float, recipe: str, life: str, text: str) -> str:
    """Return one line about a run that goes on; further lines of the text follow below, aligned."""
    first, *more = quote_markers(text).splitlines() or [""]
    head = f"{elapsed_seconds:7.1f} s  {recipe}  {life:<7}"
    lines = [f"{head}  {printable(first)}".rstrip()]
    lines += [f"{'':<{len(head) + 2}}{printable(line)}".rstrip() for line in more]
    return "\n".join(lines)


def summary(report: Report, folder: Path) -> str:
    """Return the summary: stages, level, failures with reasons, run directory, command to reproduce.

    Args:
        report: the report of the run.
        folder: its run directory.
    """
    lines = [_title(report)]
    width = max([MIN_STAGE_WIDTH, *(len(stage.name) for stage in report.stages)])
    lines += [_stage(s, width) for s in report.stages] or ["  no stage was started"]
    lines += ["", f"  {verdict_words(report)}"]
    lines += [f"  {printable(level_words(report))}"]
    if report.reason and report.reason not in {case.message for case in report.failed}:
        lines += [f"  {report.stage or 'why'}: {printable(report.reason)}"]
    if report.interrupted_in:
        lines += [f"  {printable(interrupted_words(report))}"]
    for case in report.failed:
        lines += ["", f"  {MARKS[case.outcome]} {printable(case.id)}: {printable(case.message)}"]
        lines += [f"      {line}" for line in last_lines(case.details)]
    lines += ["", *_rest(report, folder)]
    return quote_markers("\n".join(lines))


def _title(report: Report) -> str:
    """Return the first line: recipe, commit, lane and versions."""
    words = [report.recipe or "run", report.short_ref or report.run, report.lane]
    if report.partial:
        words.append("partial")
    if report.version:
        base = f"{report.base_version} → " if report.base_version else ""
        words.append(f"{base}{report.version}")
    return f"{printable(' '.join(words))} ".ljust(WIDTH, "─")


def _stage(stage: StageResult, width: int) -> str:
    reason = printable(short_reason(stage.reason))
    return (
        f"  {MARKS[stage.outcome]} {stage.name:<{width}}{stage.seconds:6.1f} s  {reason}".rstrip()
    )


def _rest(report: Report, folder: Path) -> list[str]:
    lines = [f"  phases (s): {phases_line(report)}"]
    lines += [f"  secrets: {printable(secrets_words(report))}"]
    lines += [f"  note: {printable(note)}" for note in report.notes]
    lines += [f"  run directory: {folder}"]
    return [*lines, *([f"  reproduce: {report.repeat}"] if report.repeat else [])]
