"""Reads marked lines from the log of a build.

The output of apps and tests is in the same log. So a marked line counts only as a whole, valid line, and
every text in it is untrusted.
"""

from __future__ import annotations

from dataclasses import replace

from bridge.model import Progress
from contract import report_line
from contract.marker import MAX_LINE
from contract.report_line import CaseFinished, RunReport, RunStarted, StageStarted


class LogReader:
    """Reads a log piece by piece; a line may come in any number of pieces.

    `progress` and `report` hold what was read so far.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self.report: RunReport | None = None
        self._rest = ""

    def feed(self, piece: str) -> bool:
        """Read the next piece; return True if a marked line was in it."""
        *lines, self._rest = (self._rest + piece).split("\n")
        if len(self._rest) > MAX_LINE:
            self._rest = " "  # so that the rest of this line is not taken for a line
        marked = [self._read_line(line) for line in lines]
        return any(marked)

    def _read_line(self, line: str) -> bool:
        event = report_line.parse(line)
        progress = self.progress
        match event:
            case RunStarted(run=run, version=version, base_version=base, stages=stages):
                self.progress = Progress(run, version, base, stages)
            case StageStarted(stage=stage):
                self.progress = replace(progress, now=stage)
            case CaseFinished(stage=stage, outcome=outcome):
                if progress.outcomes.get(stage) not in ("fail", "error"):
                    outcomes = {**progress.outcomes, stage: outcome}
                    self.progress = replace(progress, outcomes=outcomes)
            case RunReport():
                self.report = event
        return event is not None


def read(log: str) -> LogReader:
    """Read a whole log."""
    reader = LogReader()
    reader.feed(log if log.endswith("\n") else log + "\n")
    return reader
