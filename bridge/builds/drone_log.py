"""What a build's log tells of its run: the marked lines, and nothing else that stands in it.

The log belongs to the harness, but an app's words run through it. So a marked line counts only as a
whole line of valid JSON, and every text in it is foreign text.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

MARK = "::cc-ci:: "
LONGEST_LINE = 200_000  # characters; a longer line is no marked one
Outcome = Literal["pass", "fail", "error", "skip", "unverified"]
Verdict = Literal["passed", "recipe", "suite", "timeout", "infra", "interrupted", "cancelled"]
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else str(value)[:2000])]
NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]


class Told(BaseModel):
    """A part of a marked line; keys of later versions of the harness are passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Stage(Told):
    """One stage; seconds it took."""

    name: Name
    outcome: Outcome
    seconds: float = 0.0
    reason: Text = ""


class Case(Told):
    """One case that failed, with its last lines."""

    id: Text
    stage: Text = ""
    life: Text = ""
    outcome: Outcome
    message: Text = ""
    lines: tuple[Text, ...] = Field((), max_length=50)


class Counts(Told):
    """The numbers of the JUnit file; time in seconds."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    time: float = 0.0


class Report(Told):
    """A finished run as the harness tells it; times are seconds."""

    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    recipe: Text
    ref: Text
    lane: Literal["cold", "quick"]
    version: Text = ""
    base_version: Text = ""
    verdict: Verdict
    verdict_sentence: Text = ""
    commit_state: Literal["success", "failure", "error"]
    reason: Text = ""
    stage: Annotated[str, BeforeValidator(lambda value: _name(value) if value else "")] = ""
    interrupted_in: Text = ""
    level: int | None = Field(None, ge=0, le=9)
    level_words: Text = ""
    seconds: float = 0.0
    stages: tuple[Stage, ...] = Field((), max_length=50)
    junit: Counts = Counts()
    failed: tuple[Case, ...] = Field((), max_length=50)
    failed_in_all: int = 0
    notes: tuple[Text, ...] = Field((), max_length=50)
    evidence: tuple[Text, ...] = Field((), max_length=500)
    repeat: Text = ""


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


def _name(value: object) -> str:
    """Return a stage's name; what is none is not repeated."""
    return value if isinstance(value, str) and NAME.fullmatch(value) else "unknown"


class Reading:
    """Reads a log piece by piece; a line may come in any number of pieces."""

    def __init__(self) -> None:
        self.progress = Progress()
        self.report: Report | None = None
        self._rest = ""

    def feed(self, piece: str) -> bool:
        """Take the next piece; say whether it told anything."""
        *lines, self._rest = (self._rest + piece).split("\n")
        if len(self._rest) > LONGEST_LINE:
            self._rest = " "  # the rest of this line is no line's start
        told = [self._line(line) for line in lines]
        return any(told)

    def _line(self, line: str) -> bool:
        if not line.startswith(MARK) or len(line) > LONGEST_LINE:
            return False
        try:
            row = json.loads(line.removeprefix(MARK))
            return self._event(str(row["event"]), row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return False

    def _event(self, name: str, row: dict[str, Any]) -> bool:
        progress = self.progress
        if name == "run-started":
            stages = [_name(s) for s in row.get("stages") or []][:50]
            version, base = str(row.get("version") or ""), str(row.get("base_version") or "")
            self.progress = Progress(str(row.get("run", "")), version, base, stages)
        elif name == "stage-started":
            progress.now = _name(row["stage"])
        elif name == "case":
            stage, outcome = _name(row["stage"]), str(row["outcome"])
            bad = progress.outcomes.get(stage) in ("fail", "error")
            progress.outcomes[stage] = progress.outcomes[stage] if bad else outcome[:20]
        elif name == "run-report":
            return self._read_report(row)
        else:
            return False
        return True

    def _read_report(self, row: dict[str, Any]) -> bool:
        try:
            self.report = Report.model_validate(row)
        except ValidationError:
            return False
        return True


def read(log: str) -> Reading:
    """Read a whole log."""
    reading = Reading()
    reading.feed(log if log.endswith("\n") else log + "\n")
    return reading
