"""summary.md: a report for people, as Markdown that no text of an app can break."""

from __future__ import annotations

from collections.abc import Sequence

from contract.markdown import code_span, escape, fence
from harness.reporting.level import Case, StageResult
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


def to_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    lines = [*_head(report), *_stage_table(report.stages)]
    for case in report.failed:
        lines += ["", *_failed_case(case)]
    lines += ["", f"Secrets: {escape(secrets_words(report))}.", ""]
    lines += [f"Phases: {escape(phases_line(report))}.", ""]
    lines += [f"- Note: {escape(note)}" for note in report.notes]
    lines += [f"- Evidence: {escape(item.kind)} {code_span(item.path)}" for item in report.evidence]
    if report.repeat:
        lines += ["", "Reproduce:", "", fence([report.repeat])]
    return "\n".join(lines) + "\n"


def _head(report: Report) -> list[str]:
    name = f"{report.recipe or 'run'} {report.short_ref or report.run}"
    lines = [f"# {escape(name)}: {escape(verdict_words(report))}", ""]
    if report.reason:
        lines += [f"**{escape(report.stage or 'why')}**: {escape(report.reason)}", ""]
    lines += [escape(_sentence(level_words(report))), ""]
    if report.interrupted_in:
        lines += [escape(_sentence(interrupted_words(report))), ""]
    return lines


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _stage_table(stages: Sequence[StageResult]) -> list[str]:
    if not stages:
        return ["No stage was started."]
    rows = [
        f"| {MARKS[s.outcome]} | {escape(s.name)} | {s.seconds:.1f} | {escape(short_reason(s.reason))} |"
        for s in stages
    ]
    return ["| | stage | seconds | |", "|---|---|---:|---|", *rows]


def _failed_case(case: Case) -> list[str]:
    place = ", ".join(part for part in (case.stage, case.life) if part)
    lines = [f"## {MARKS[case.outcome]} {escape(case.id)}", ""]
    lines += [f"In {escape(place)}: {escape(case.message or 'no message')}"]
    return [*lines, *(["", fence(last_lines(case.details))] if case.details else [])]
