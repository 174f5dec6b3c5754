"""summary.md: a report for people, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from contract.markdown import code_span, escape, fence
from harness.reporting.level import StageResult
from harness.reporting.report import Report
from harness.reporting.words import (
    MARKS,
    cut,
    last_lines,
    level_words,
    phases_line,
    secrets_words,
    verdict_words,
)


def to_markdown(report: Report) -> str:
    """Return the report for people, as Markdown that no text of an app can break out of."""
    name = f"{report.recipe or 'run'} {report.short or report.run}"
    lines = [f"# {escape(name)}: {escape(verdict_words(report))}", ""]
    if report.reason:
        lines += [f"**{escape(report.stage or 'why')}**: {escape(report.reason)}", ""]
    lines += [escape(_sentence(level_words(report))), ""]
    if report.interrupted_in:
        lines += [f"Ended early, in: {escape(report.interrupted_in)}.", ""]
    lines += _stage_table(report.stages)
    for case in report.failed:
        place = ", ".join(part for part in (case.stage, case.life) if part)
        lines += ["", f"## {MARKS[case.outcome]} {escape(case.id)}", ""]
        lines += [f"In {escape(place)}: {escape(case.message or 'no message')}"]
        lines += ["", fence(last_lines(case.details))] if case.details else []
    lines += ["", f"Secrets: {escape(secrets_words(report))}.", ""]
    lines += [f"Phases: {escape(phases_line(report))}.", ""]
    lines += [f"- Note: {escape(note)}" for note in report.notes]
    lines += [f"- Evidence: {escape(item.kind)} {code_span(item.path)}" for item in report.evidence]
    if report.repeat:
        lines += ["", "Repeat it:", "", fence([report.repeat])]
    return "\n".join(lines) + "\n"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _stage_table(stages: Sequence[StageResult]) -> list[str]:
    if not stages:
        return ["No stage was begun."]
    rows = [
        f"| {MARKS[s.outcome]} | {escape(s.name)} | {s.seconds:.1f} | {escape(cut(s.reason))} |"
        for s in stages
    ]
    return ["| | stage | seconds | |", "|---|---|---:|---|", *rows]
