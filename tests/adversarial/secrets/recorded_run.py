"""A run with its directory and the lines it printed, without anything deployed."""

from __future__ import annotations

from pathlib import Path

from harness.plan import GENERIC
from harness.reporting import run_dir
from harness.reporting.report import Report
from harness.secret import Secret
from harness.suites.outcome import Outcome
from tests.adversarial.secrets.secret_encodings import VALUES
from tests.support.bare_run import bare_run


class RecordedRun:
    """A run that knows secrets, and the lines that it printed."""

    def __init__(self, folder: Path) -> None:
        self.printed: list[str] = []
        self.run = bare_run(folder, self.printed.append)
        planned = ["install", "cleanup"]
        self.run.recorder.record(
            "run-started", run="7", recipe="custom-html", lane="cold", stages=planned
        )
        self.run.recorder.redactor.learn([Secret(value) for value in VALUES.values()])

    def passes(self, step: str) -> None:
        """Let a generic step pass."""
        self.run.recorder.case(step, GENERIC[step], Outcome("pass"), seconds=0.1)

    def fails(self, step: str, message: str, details: str) -> None:
        """Let a generic step fail."""
        outcome = Outcome("fail", "recipe", message, details)
        self.run.recorder.case(step, GENERIC[step], outcome, seconds=0.1)

    def closed(self) -> Report:
        """Close the run and return its report."""
        self.run.close()
        return run_dir.read(self.run.dir)

    def output(self) -> dict[str, bytes]:
        """Return every byte that leaves the run, by file; "printed" are the printed lines."""
        files = {p.name: p.read_bytes() for p in self.run.dir.rglob("*") if p.is_file()}
        return {**files, "printed": "\n".join(self.printed).encode()}


def clean_run(folder: Path) -> RecordedRun:
    """Return a run in which everything passed."""
    made = RecordedRun(folder)
    made.passes("test_install")
    made.passes("test_leave_no_trace")
    return made
