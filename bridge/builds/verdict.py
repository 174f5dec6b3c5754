"""What a build came to: the harness's own report where there is one, else what can be told without."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bridge.answers import messages
from bridge.builds.drone_log import Progress
from bridge.clients.drone import Build
from bridge.clients.gitea import State
from bridge.store import Run
from contract import verdicts
from contract.report_line import RunReport

RETRIED = 2  # attempts in all, where our own side was at fault


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended. name: of the harness's closed list. state: for the commit."""

    name: str
    state: State
    text: str
    report: dict[str, Any] | None = None

    def to_json(self) -> str:
        """Return it as text for the store."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Verdict:
        """Return it from what the store has."""
        return cls(**json.loads(text))

    def told(self) -> RunReport | None:
        """Return the harness's report, None where there is none."""
        return RunReport.model_validate(self.report) if self.report else None


def own(name: str, text: str) -> Verdict:
    """Return a verdict that the bridge came to itself: nothing of it is the recipe's fault."""
    return Verdict(name, "error", text)


def judge(run: Run, build: Build, progress: Progress, report: RunReport | None) -> Verdict:
    """Return the verdict of a build that has ended.

    Only a report about exactly this commit and lane counts, and a green one only of a build that Drone
    has as a success.
    """
    if run.cancel:
        return Verdict("cancelled", "error", run.cancel, _body(report, run))
    if report is not None and (report.ref != run.sha or report.lane != run.lane):
        return own("infra", messages.OTHER_COMMIT)
    if report is not None and report.verdict == "passed":
        if build.status != "success" or report.commit_state != "success":
            return own("infra", messages.green_but(build.status))
        return Verdict("passed", "success", "", _body(report, run))
    if report is not None:
        state: State = "failure" if report.commit_state == "failure" else "error"
        return Verdict(report.verdict, state, report.reason, _body(report, run))
    return own(*_without_report(build, progress))


def _body(report: RunReport | None, run: Run) -> dict[str, Any] | None:
    if report is None or report.ref != run.sha:
        return None
    return report.model_dump(mode="json")


def _without_report(build: Build, progress: Progress) -> tuple[str, str]:
    """Return verdict and text of a build whose harness did not come to its report."""
    where = messages.ended_in(progress.now)
    if build.status == "killed":
        return "cancelled", messages.killed_in_drone(where)
    if build.status == "error":
        return "infra", messages.pipeline_error(build.error)
    if build.failed_clone:
        return "infra", messages.CLONE_FAILED
    code = build.work.exit_code if build.work else 0
    return verdicts.of_exit_code(code), messages.no_report(code, where)
