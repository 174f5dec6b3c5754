"""What a build came to, where the harness told it and where it did not: only a report can make it green."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.answers import messages
from bridge.builds.drone_log import Progress
from bridge.builds.verdict import judge
from bridge.clients.drone import Build, Step
from bridge.store import Run
from contract.report_line import RunReport

SHA = "a" * 40
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 7, 1.0)
CLONE = Step(1, 1, "clone", "success", 0)


def build(status: str, code: int = 1, *, clone: str = "success", error: str = "") -> Build:
    """Return a build that has ended."""
    steps = (replace(CLONE, status=clone), Step(1, 2, "recipe", status, code))
    return Build(1, status, "custom", error, {}, 1.0, 2.0, steps)


def report(**more: str) -> RunReport:
    """Return a green report of exactly the run's commit and lane."""
    row = {"run": "1", "recipe": "shop", "ref": SHA, "lane": "cold", "verdict": "passed"}
    return RunReport.model_validate({**row, "commit_state": "success", **more})


@pytest.mark.parametrize(
    ("ended", "name", "text"),
    [
        (build("failure", clone="failure"), "infra", messages.CLONE_FAILED),
        (build("error", error="yaml: no"), "infra", messages.pipeline_error("yaml: no")),
        (build("killed"), "cancelled", messages.killed_in_drone(", in backup")),
        (build("failure", 2), "interrupted", "ended with status 2 and without a report"),
        (build("failure", 5), "suite", "ended with status 5 and without a report"),
        (build("failure", 16), "infra", "ended with status 16 and without a report"),
        (build("failure", 1), "infra", "ended with status 1 and without a report"),
        (build("success", 0), "infra", "ended with status 0 and without a report"),
    ],
)
def test_without_a_report_nothing_is_the_recipes_fault_or_green(
    ended: Build, name: str, text: str
) -> None:
    """The reason is what Drone knows, and where the run was by then."""
    found = judge(RUN, ended, Progress(now="backup"), None)
    assert (found.name, found.state) == (name, "error")
    assert text in found.text


def test_a_cancelled_run_shows_only_what_is_of_its_commit() -> None:
    """What was cancelled is never green, and a report of another commit is not shown at all."""
    cancelled = replace(RUN, cancel="alice cancelled it")
    ended = build("success", 0)
    own = judge(cancelled, ended, Progress(), report())
    other = judge(cancelled, ended, Progress(), report(ref="b" * 40))
    assert (own.name, own.state, other.state) == ("cancelled", "error", "error")
    assert own.report is not None and other.report is None


@pytest.mark.parametrize(
    ("ended", "told", "green"),
    [
        (build("success", 0), report(), True),
        (build("failure", 1), report(), False),
        (build("success", 0), report(commit_state="error"), False),
        (build("success", 0), report(ref="b" * 40), False),
        (build("success", 0), report(lane="quick"), False),
    ],
)
def test_only_a_green_report_of_this_commit_in_a_green_build_is_green(
    ended: Build, told: RunReport, green: bool
) -> None:
    """Everything must agree."""
    found = judge(RUN, ended, Progress(), told)
    assert (found.state == "success") is green
    assert found.name == ("passed" if green else "infra")
