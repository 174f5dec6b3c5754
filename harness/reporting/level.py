"""From events to cases, from cases to the outcomes of stages, from those to the level.

Everything here is a pure function of what was recorded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from contract.verdicts import OUTCOMES
from harness import plan
from harness.reporting.events import Event

StageOutcome = Literal["pass", "fail", "skip", "unverified"]
NONE: Mapping[str, str] = MappingProxyType({})
NOTHING = Event(0.0, "", {})
UNTESTED = "the suite tests nothing of what the app is for"
NOT_REACHED = "not reached"
SUPERFICIAL = "superficial: it passes while the app is stopped, so it proves nothing about the app"
CONTROLLED = ("held", "superficial", "skip")  # outcomes of a negative control that say something
RESTING = ("functional", "restore", "upgrade")  # stages that rest on what a suite asserts


@dataclass(frozen=True, slots=True)
class Case:
    """One test case as recorded; seconds are its own time."""

    id: str
    stage: str
    life: str
    outcome: str
    seconds: float
    message: str = ""
    details: str = ""
    fault: str = ""
    structural: bool = False


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage's outcome, why, the number of its cases and their time in seconds."""

    name: str
    outcome: StageOutcome
    reason: str
    cases: int
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether a rung may stand on it."""
        return self.outcome in ("pass", "skip")


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder: it holds when all its stages pass or are skipped."""

    number: int
    stages: tuple[str, ...]
    sentence: str


LADDER = (
    Rung(1, ("install", "redeploy"), "installs"),
    Rung(2, ("upgrade",), "upgrades and keeps its data"),
    Rung(3, ("backup", "restore"), "comes back from a backup"),
    Rung(4, ("functional",), "does what it is for"),
    Rung(5, ("lint", "cleanup"), "keeps the rules and leaves nothing behind"),
)


@dataclass(frozen=True, slots=True)
class Record:
    """A run's events, sorted: start, end (None for a run that died), cases, stages.

    ended_in: the stage that was begun last, "" before the first. inside: its end was not recorded.
    scan: the last look for secrets in what is kept, None where there was none. missing: what was
    planned and says nothing, negative controls too. tampered: what was done to the record, "" for nothing.
    """

    start: Event
    end: Event | None
    cases: tuple[Case, ...]
    stages: Mapping[str, StageResult]
    ended_in: str
    inside: bool
    last_phase: str
    scan: Event | None
    missing: tuple[str, ...]
    tampered: str

    @property
    def no_secret_leak(self) -> bool | None:
        """Whether the last look found no secret in any file; None where nobody looked."""
        return None if self.scan is None else self.scan.data.get("clean") is True

    @property
    def lane(self) -> plan.Lane:
        """The lane that was asked for."""
        return "quick" if self.start.text("lane") == "quick" else "cold"

    @property
    def whole(self) -> bool:
        """Whether everything of the lane was planned; a suite may have no functional test."""
        return plan.is_whole([*self.start.texts("stages"), "functional"], self.lane)


def gather(found: Sequence[Event]) -> Record:
    """Sort a run's events, however far they go."""
    start = next((event for event in found if event.name == "run-started"), NOTHING)
    controls = {e.text("id"): e.text("outcome") for e in found if e.name == "control"}
    empty = {_base(name) for name, outcome in controls.items() if outcome == "superficial"}
    told = {e.text("id") for e in found if e.name == "case"}
    told |= {name for name, outcome in controls.items() if outcome in CONTROLLED}
    cases = tuple(_weighed(_case(event), empty) for event in found if event.name == "case")
    begun = [event for event in found if event.name in ("stage-started", "case")]
    phases = [event for event in found if event.name == "phase"]
    declared = start.data.get("not_applicable")
    outcomes = stage_outcomes(
        _planned(start), cases, declared if isinstance(declared, dict) else NONE
    )
    return Record(
        start=start,
        end=_last(found, "run-finished"),
        cases=cases,
        stages=outcomes,
        ended_in=begun[-1].text("stage") if begun else "",
        inside=bool(begun) and begun[-1].name == "stage-started",
        last_phase=phases[-1].text("phase") if phases else "",
        scan=_last(found, "scan"),
        tampered="".join(e.text("text") for e in found if e.name == "tampered"),
        missing=tuple(name for name in start.texts("planned") if name not in told),
    )


def _base(name: str) -> str:
    """Return the name of a case's function."""
    return name.partition("[")[0]


def _weighed(case: Case, empty: Collection[str]) -> Case:
    """Take the weight from a passed case whose function passes against a stopped app too."""
    if case.outcome != "pass" or case.stage not in RESTING or _base(case.id) not in empty:
        return case
    return replace(case, outcome="unverified", message=SUPERFICIAL, fault="suite")


def _last(found: Sequence[Event], name: str) -> Event | None:
    return next((event for event in reversed(found) if event.name == name), None)


def _case(event: Event) -> Case:
    outcome, message = event.text("outcome"), event.text("message")
    if outcome not in OUTCOMES:
        outcome, message = "unverified", f"recorded with an unknown outcome, '{outcome}'"
    return Case(
        id=event.text("id") or "unnamed",
        stage=event.text("stage") or "unknown",
        life=event.text("life"),
        outcome=outcome,
        seconds=event.number("seconds"),
        message=message,
        details=event.text("details"),
        fault=event.text("fault"),
        structural=event.data.get("structural") is True,
    )


def _planned(start: Event) -> tuple[str, ...]:
    """Return the planned stages in order; one for function stands there even without a test."""
    stages = start.texts("stages")
    lane: plan.Lane = "quick" if start.text("lane") == "quick" else "cold"
    if "functional" in stages or not plan.is_whole([*stages, "functional"], lane):
        return stages
    order = plan.LANE_STAGES[lane]
    after = order[order.index("functional") + 1]
    place = stages.index(after)
    return (*stages[:place], "functional", *stages[place:])


# %% Stages


def stage_outcomes(
    planned: Sequence[str], cases: Sequence[Case], not_applicable: Mapping[str, str] = NONE
) -> dict[str, StageResult]:
    """Return the outcome of every stage that was planned, or has a case without having been.

    not_applicable: stages that the suite declared so, with the reason.
    """
    names = dict.fromkeys((*planned, *(case.stage for case in cases)))
    ended = any(case.stage == "cleanup" for case in cases)
    return {
        name: _stage(name, [c for c in cases if c.stage == name], not_applicable.get(name), ended)
        for name in names
    }


def _stage(name: str, cases: Sequence[Case], declared: str | None, ended: bool) -> StageResult:
    outcome, reason = _outcome(cases) if cases else _without_case(name, declared, ended)
    return StageResult(name, outcome, reason, len(cases), round(sum(c.seconds for c in cases), 3))


def _without_case(name: str, declared: str | None, ended: bool) -> tuple[StageOutcome, str]:
    if declared is not None:
        return "skip", declared
    return "unverified", UNTESTED if name == "functional" and ended else NOT_REACHED


def _outcome(cases: Sequence[Case]) -> tuple[StageOutcome, str]:
    """Return the outcome of a stage that has cases; the worst of them decides."""
    bad = [case for case in cases if case.outcome in ("fail", "error")]
    if bad:
        return "fail", _first_of(bad, "failed")
    open_ = [case for case in cases if case.outcome == "unverified"]
    if open_:
        return "unverified", _first_of(open_, "did not run")
    skipped = [case for case in cases if case.outcome == "skip"]
    undeclared = [case for case in skipped if not case.structural]
    some = "every test was" if len(skipped) == len(cases) else f"{len(skipped)} of {len(cases)}"
    if undeclared:
        return "unverified", f"{some} skipped: {_first_of(undeclared, 'skipped')}"
    if len(skipped) < len(cases):
        return "pass", f"{some} skipped: {_first_of(skipped, 'not applicable')}" if skipped else ""
    return "skip", _first_of(skipped, "not applicable")


def _first_of(cases: Sequence[Case], otherwise: str) -> str:
    return next((case.message for case in cases if case.message), otherwise)


# %% The level


def level(outcomes: Mapping[str, StageResult]) -> int:
    """Return the highest rung reached, 0 for none: a gap caps it."""
    reached = 0
    for rung in LADDER:
        if any(name not in outcomes or not outcomes[name].holds for name in rung.stages):
            break
        reached = rung.number
    return reached


def capped_by(outcomes: Mapping[str, StageResult]) -> StageResult | None:
    """Return the stage that keeps the level from being one higher, None at the top."""
    for rung in LADDER:
        for name in rung.stages:
            found = outcomes.get(name)
            if found is None:
                return StageResult(name, "unverified", "not planned", 0, 0.0)
            if not found.holds:
                return found
    return None


def sentence(reached: int) -> str:
    """Return what a level means, in words."""
    rungs = [rung.sentence for rung in LADDER if rung.number <= reached]
    return ", ".join(rungs) or "does not install"
