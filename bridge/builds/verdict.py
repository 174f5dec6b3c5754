"""The verdict on a finished build: that of the harness's report, else what Drone knows."""

from __future__ import annotations

from bridge.answers import messages
from bridge.clients.drone import Build
from bridge.model import Progress, Result, Run
from contract import verdicts
from contract.report_line import RunReport
from contract.verdicts import Verdict

MAX_ATTEMPTS = 2  # for a run that hits an infrastructure problem


def without_report(verdict: Verdict, reason: str) -> Result:
    """Return a result that the bridge decided on its own; it never counts against the recipe."""
    return Result(verdict, "error", reason)


def judge(run: Run, build: Build, progress: Progress, report: RunReport | None) -> Result:
    """Return the result of a finished build.

    A report counts only if it is about the commit and lane of the run; "passed" counts only if Drone has
    the build as a success too.
    """
    if run.cancel_reason:
        return Result(Verdict.CANCELLED, "error", run.cancel_reason, _own_report(report, run))
    if report is None:
        return _judge_by_drone(build, progress)
    if report.ref != run.sha or report.lane != run.lane:
        return without_report(Verdict.INFRA, messages.OTHER_COMMIT)
    if report.verdict != Verdict.PASSED:
        state = report.commit_state if report.commit_state == "failure" else "error"
        return Result(report.verdict, state, report.reason, report)
    if build.status != "success" or report.commit_state != "success":
        return without_report(Verdict.INFRA, messages.passed_but_build(build.status))
    return Result(Verdict.PASSED, "success", "", report)


def _own_report(report: RunReport | None, run: Run) -> RunReport | None:
    return report if report is not None and report.ref == run.sha else None


def _judge_by_drone(build: Build, progress: Progress) -> Result:
    where = messages.stopped_in(progress.now)
    if build.status == "killed":
        return without_report(Verdict.CANCELLED, messages.killed_in_drone(where))
    if build.status == "error":
        return without_report(Verdict.INFRA, messages.pipeline_error(build.error))
    if build.failed_clone:
        return without_report(Verdict.INFRA, messages.CLONE_FAILED)
    exit_code = build.work.exit_code if build.work else 0
    reason = messages.no_report(exit_code, where)
    return without_report(verdicts.of_exit_code(exit_code), reason)
