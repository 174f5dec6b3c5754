"""What a build's log tells of its run: the marked lines, and nothing else that stands in it.

The log belongs to the harness, but an app's words run through it. So a marked line counts only as a
whole line of valid JSON, and every text in it is foreign text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from contract import report_line
from contract.marker import MAX_LINE
from contract.report_line import CaseFinished, RunReport, RunStarted, StageStarted


@dataclass
class Progress:
    """How far a run has come. outcomes: of the stages so far. now: the stage that runs."""

    run: str = ""
    version: str = ""
    base_version: str = ""
    stages: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    now: str = ""

    def to_json(self) -> str:
        """Return it as text for the store."""
        return json.dumps(self.__dict__)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Progress:
        """Return it from what the store has."""
        known = cls().__dict__
        return cls(**{key: value for key, value in values.items() if key in known})


class Reading:
    """Reads a log piece by piece; a line may come in any number of pieces."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.report: RunReport | None = None
        self._rest = ""

    def feed(self, piece: str) -> bool:
        """Take the next piece; say whether it told anything."""
        *lines, self._rest = (self._rest + piece).split("\n")
        if len(self._rest) > MAX_LINE:
            self._rest = " "  # the rest of this line is no line's start
        told = [self._line(line) for line in lines]
        return any(told)

    def _line(self, line: str) -> bool:
        event = report_line.parse(line)
        progress = self.progress
        match event:
            case RunStarted():
                stages = list(event.stages)
                self.progress = Progress(event.run, event.version, event.base_version, stages)
            case StageStarted():
                progress.now = event.stage
            case CaseFinished():
                if progress.outcomes.get(event.stage) not in ("fail", "error"):
                    progress.outcomes[event.stage] = event.outcome
            case RunReport():
                self.report = event
        return event is not None


def read(log: str) -> Reading:
    """Read a whole log."""
    reading = Reading()
    reading.feed(log if log.endswith("\n") else log + "\n")
    return reading
