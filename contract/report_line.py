"""What marked lines hold: progress of a run, and at its end the whole run in one line.

The harness writes them; the bridge and other readers of a build's log read them. Texts come from apps and
tests, so readers cut them, and replace invalid stage names. Unknown keys are ignored, so that readers
accept lines of later versions.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from contract import marker
from contract.verdicts import CaseOutcome, CommitState, Lane, Verdict

# Limits of the writer.
MAX_TEXT = 500  # characters; the whole text is in the run directory
MAX_FAILED = 8  # failed cases with their details
MAX_CASE_LINES = 15  # last lines of a failed case
MAX_CASE_LINE = 200  # characters
MAX_NOTES = 8

# Limits of the reader.
MAX_TEXT_READ = 2_000  # characters
MAX_ITEMS_READ = 50  # stages, failed cases, lines, notes
MAX_EVIDENCE_READ = 500  # paths
MAX_OUTCOME_READ = 20  # characters

STAGE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,40}")
UNKNOWN_STAGE = "unknown"


def shorten(text: str) -> str:
    """Return a text cut to what a marked line may hold."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _text(value: object) -> str:
    return "" if value is None else str(value)[:MAX_TEXT_READ]


def _stage_name(value: object) -> str:
    valid = isinstance(value, str) and STAGE_NAME.fullmatch(value)
    return str(value) if valid else UNKNOWN_STAGE


def _stage_names(value: object) -> list[str]:
    if not isinstance(value, list | tuple | None):
        raise ValueError("stages must be a list")
    return [_stage_name(name) for name in value or ()][:MAX_ITEMS_READ]


Text = Annotated[str, BeforeValidator(_text)]
StageName = Annotated[str, BeforeValidator(_stage_name)]
StageNames = Annotated[tuple[str, ...], BeforeValidator(_stage_names)]
OptionalStageName = Annotated[
    str, BeforeValidator(lambda value: _stage_name(value) if value else "")
]
Count = Annotated[int, PlainSerializer(float)]  # written as 3.0; the line's format is fixed


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


# %% While a run goes on


class RunStarted(_Model):
    """The first event of a run: its id, its planned stages, and the versions under test."""

    run: Text = ""
    version: Text = ""
    base_version: Text = ""
    stages: StageNames = ()


class StageStarted(_Model):
    """A stage begins."""

    stage: StageName


class CaseFinished(_Model):
    """A case has its outcome."""

    stage: StageName
    outcome: Annotated[str, BeforeValidator(lambda value: str(value)[:MAX_OUTCOME_READ])]


# %% At its end


class ReportedStage(_Model):
    """One stage; `seconds` it took."""

    name: Annotated[str, Field(pattern=rf"^{STAGE_NAME.pattern}$")]
    outcome: CaseOutcome
    seconds: float = 0.0
    reason: Text = ""


class JunitCounts(_Model):
    """The counts of the JUnit file; `time` in seconds."""

    tests: Count = 0
    failures: Count = 0
    errors: Count = 0
    skipped: Count = 0
    time: float = 0.0


class ReportedCase(_Model):
    """One failed case with its last lines of output."""

    id: Text
    stage: Text = ""
    life: Text = ""
    outcome: CaseOutcome
    message: Text = ""
    lines: tuple[Text, ...] = Field((), max_length=MAX_ITEMS_READ)


class RunReport(_Model):
    """A finished run.

    `t` is its end in unix seconds, other times are seconds. `evidence` holds paths in the run directory.
    """

    t: float = 0.0
    event: Literal["run-report"] = "run-report"
    run: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    recipe: Text
    ref: Text
    pr: Text = ""
    src: Text = ""
    lane: Lane
    version: Text = ""
    base_version: Text = ""
    partial: bool = False
    verdict: Verdict
    verdict_sentence: Text = ""
    commit_state: CommitState
    reason: Text = ""
    stage: OptionalStageName = ""
    interrupted_in: Text = ""
    level: int | None = Field(None, ge=0, le=9)
    level_words: Text = ""
    seconds: float = 0.0
    no_secret_leak: bool | None = None
    stages: tuple[ReportedStage, ...] = Field((), max_length=MAX_ITEMS_READ)
    junit: JunitCounts = JunitCounts()
    failed: tuple[ReportedCase, ...] = Field((), max_length=MAX_ITEMS_READ)
    failed_in_all: int = 0
    notes: tuple[Text, ...] = Field((), max_length=MAX_ITEMS_READ)
    evidence: tuple[Text, ...] = Field((), max_length=MAX_EVIDENCE_READ)
    repeat: Text = ""

    def line(self) -> str:
        """Return it as a marked line."""
        return marker.encode(self.model_dump())


# %% Reading

PublicEvent = RunStarted | StageStarted | CaseFinished | RunReport
MODELS: dict[str, type[PublicEvent]] = {
    "run-started": RunStarted,
    "stage-started": StageStarted,
    "case": CaseFinished,
    "run-report": RunReport,
}


def parse(line: str) -> PublicEvent | None:
    """Return what a line of a build's log reports, or None if it is not a valid marked line."""
    row: dict[str, Any] = marker.decode(line) or {}
    name = row.get("event")
    model = MODELS.get(name) if isinstance(name, str) else None
    try:
        return model.model_validate(row) if model else None
    except ValidationError:
        return None
