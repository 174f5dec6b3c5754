"""The verdict on a finished build, with and without a report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.answers import messages
from bridge.builds.verdict import judge
from bridge.clients.drone import Build, Step
from bridge.model import Progress, Run
from contract.report_line import RunReport

SHA = "a" * 40
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 7, 1.0)
CLONE = Step(1, 1, "clone", "success", 0)


def build(status: str, code: int = 1, *, clone: str = "success", error: str = "") -> Build:
    """Return a finished build."""
    steps = (replace(CLONE, status=clone), Step(1, 2, "recipe", status, code))
    return Build(1, status, "custom", error, {}, 1.0, 2.0, steps)


def report(**more: str) -> RunReport:
    """Return a report that passed, on the commit and lane of the run."""
    row = {"run": "1", "recipe": "shop", "ref": SHA, "lane": "cold", "verdict": "passed"}
    return RunReport.model_validate({**row, "commit_state": "success", **more})


@pytest.mark.parametrize(
    ("finished", "verdict", "reason"),
    [
        (build("failure", clone="failure"), "infra", messages.CLONE_FAILED),
        (build("error", error="yaml: no"), "infra", messages.pipeline_error("yaml: no")),
        (build("killed"), "cancelled", messages.killed_in_drone("in stage backup")),
        (build("failure", 2), "interrupted", "stopped in stage backup (exit code 2, no report)"),
        (build("failure", 5), "suite", "stopped in stage backup (exit code 5, no report)"),
        (build("failure", 16), "infra", "stopped in stage backup (exit code 16, no report)"),
        (build("failure", 1), "infra", "stopped in stage backup (exit code 1, no report)"),
        (build("success", 0), "infra", "stopped in stage backup (exit code 0, no report)"),
    ],
)
def test_build_without_a_report_neither_passes_nor_fails(
    finished: Build, verdict: str, reason: str
) -> None:
    """The reason is what Drone knows, and the last stage in the log."""
    found = judge(RUN, finished, Progress(now="backup"), None)
    assert (found.verdict, found.state) == (verdict, "error")
    assert reason in found.reason


def test_cancelled_run_never_passes_and_shows_no_report_of_another_commit() -> None:
    cancelled = replace(RUN, cancel_reason="cancelled by alice")
    finished = build("success", 0)
    own = judge(cancelled, finished, Progress(), report())
    other = judge(cancelled, finished, Progress(), report(ref="b" * 40))
    assert (own.verdict, own.state, other.state) == ("cancelled", "error", "error")
    assert own.report is not None and other.report is None


@pytest.mark.parametrize(
    ("finished", "found", "passed"),
    [
        (build("success", 0), report(), True),
        (build("failure", 1), report(), False),
        (build("success", 0), report(commit_state="error"), False),
        (build("success", 0), report(ref="b" * 40), False),
        (build("success", 0), report(lane="quick"), False),
    ],
)
def test_run_passes_only_if_report_and_build_agree(
    finished: Build, found: RunReport, passed: bool
) -> None:
    """The report must have passed, be about this commit and lane, and belong to a successful build."""
    result = judge(RUN, finished, Progress(), found)
    assert (result.state == "success") is passed
    assert result.verdict == ("passed" if passed else "infra")
