"""Serialise a finished run as one marked line, for readers that have only the build's log."""

from __future__ import annotations

from contract import report_line
from contract.report_line import JunitCounts, ReportedCase, ReportedStage, RunReport, shorten
from harness.reporting import junit
from harness.reporting.level import Case, StageResult
from harness.reporting.report import Report
from harness.reporting.words import last_lines, level_words


def line(report: Report) -> str:
    """Return the line.

    Nothing is validated here: a report that a reader would refuse is still in the log for people.
    """
    return RunReport.model_construct(
        t=report.finished,
        run=report.run,
        recipe=report.recipe,
        ref=report.ref,
        pr=report.pr,
        src=report.src,
        lane=report.lane,
        version=report.version,
        base_version=report.base_version,
        partial=report.partial,
        verdict=report.verdict,
        verdict_sentence=report.verdict.sentence,
        commit_state=report.commit_state,
        reason=shorten(report.reason),
        stage=report.stage,
        interrupted_in=report.interrupted_in,
        level=report.level,
        level_words=shorten(level_words(report)),
        seconds=report.seconds,
        no_secret_leak=report.no_secret_leak,
        stages=tuple(_stage(stage) for stage in report.stages),
        junit=_counts(report),
        failed=tuple(_case(case) for case in report.failed[: report_line.MAX_FAILED]),
        failed_in_all=len(report.failed),
        notes=tuple(shorten(note) for note in report.notes[: report_line.MAX_NOTES]),
        evidence=tuple(item.path for item in report.evidence),
        repeat=report.repeat,
    ).line()


def _stage(stage: StageResult) -> ReportedStage:
    return ReportedStage.model_construct(
        name=stage.name,
        outcome=stage.outcome,
        seconds=stage.seconds,
        reason=shorten(stage.reason),
    )


def _counts(report: Report) -> JunitCounts:
    counts = junit.counts_of(report)
    return JunitCounts.model_construct(
        tests=int(counts["tests"]),
        failures=int(counts["failures"]),
        errors=int(counts["errors"]),
        skipped=int(counts["skipped"]),
        time=float(counts["time"]),
    )


def _case(case: Case) -> ReportedCase:
    lines = last_lines(case.details)[-report_line.MAX_CASE_LINES :] if case.details else []
    return ReportedCase.model_construct(
        id=shorten(case.id),
        stage=case.stage,
        life=case.life,
        outcome=case.outcome,
        message=shorten(case.message),
        lines=tuple(text[: report_line.MAX_CASE_LINE] for text in lines),
    )
