"""Values the bridge works with: commands in comments, runs with their results, and what a decision adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from contract.report_line import RunReport
from contract.verdicts import CommitState, Lane, Verdict

RunState = Literal["accepted", "queued", "running", "done"]
StatusState = CommitState | Literal["pending"]  # of a commit status at the forge


class Command(StrEnum):
    """A command for the bot."""

    COLD = "cold"
    QUICK = "quick"
    CANCEL = "cancel"
    HELP = "help"
    UNKNOWN = "unknown"

    @property
    def starts(self) -> bool:
        """True if the command starts a run."""
        return self in (Command.COLD, Command.QUICK)


@dataclass(frozen=True, slots=True)
class CommandComment:
    """A comment with a command for the bot.

    `created` is in unix seconds of the forge's clock. `head` is the commit at the head of the pull request
    when the comment was written; "" if the webhook did not report it.
    """

    id: int
    repo: str
    pr: int
    author: str
    command: Command
    created: float
    head: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `outcomes` has the stages so far; `now` is the stage that was started last, or ""."""

    run: str = ""
    version: str = ""
    base_version: str = ""
    stages: tuple[str, ...] = ()
    outcomes: Mapping[str, str] = field(default_factory=dict)
    now: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    `state` is that of the commit status, `reason` a sentence ("" for a passed run). `report` is the report of
    the harness, None if there is none about the commit of the run.
    """

    verdict: Verdict
    state: CommitState
    reason: str
    report: RunReport | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A requested run and its state. Times are unix seconds of this machine's clock.

    Attributes:
        last_build_before: number of Drone's latest build before this run's was requested, None until then.
        position: position in Drone's queue, 1 for the next build; 0 if unknown.
        cancel_reason: why the run has to stop, "" if it does not.
        note: what readers should know while the run is waiting.
        result: None until the run is done.
        published: the last commit status, as "state: description", or `store.PUBLISHED`.
    """

    id: int
    repo: str
    pr: int
    lane: Lane
    recipe: str
    sha: str
    requester: str
    comment: int
    accepted: float
    state: RunState = "accepted"
    attempt: int = 1
    last_build_before: int | None = None
    build: int | None = None
    position: int = 0
    cancel_reason: str = ""
    note: str = ""
    progress: Progress = field(default_factory=Progress)
    result: Result | None = None
    finished: float = 0.0
    published: str = ""

    @property
    def active(self) -> bool:
        """True until the run has a result."""
        return self.state != "done"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """When a repository was enrolled, and the time from which its comments are read next."""

    enrolled: datetime
    since: datetime


@dataclass(frozen=True, slots=True)
class Reaction:
    """A reaction to one comment, such as `eyes`."""

    comment: int
    repo: str
    content: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A short reply to one comment, posted once.

    `tried` is True if the bridge may have posted it already.
    """

    comment: int
    repo: str
    pr: int
    body: str
    tried: bool


@dataclass(frozen=True, slots=True)
class StickyComment:
    """The comment that the bot edits from run to run: its id at the forge and its text."""

    id: int
    body: str


@dataclass(frozen=True, slots=True)
class Outbox:
    """What one decision adds, stored together with it.

    `reply` is a kind (to post each kind once) and a text. `cancel` maps runs to the reason to cancel them.
    """

    run: Run | None = None
    reaction: str = ""
    reply: tuple[str, str] = ("", "")
    cancel: Mapping[int, str] = field(default_factory=dict)
