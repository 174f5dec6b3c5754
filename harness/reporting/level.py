"""Cases from events, outcomes of stages from cases, and the level from those: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from contract.verdicts import OUTCOMES
from harness import plan
from harness.reporting.events import Event

StageOutcome = Literal["pass", "fail", "skip", "unverified"]
NO_REASONS: Mapping[str, str] = MappingProxyType({})
NO_EVENT = Event(0.0, "", {})
NO_FUNCTIONAL_TEST = "the suite has no functional test"
NOT_REACHED = "not reached"
SUPERFICIAL = "superficial: also passes with the app stopped"
# Outcomes of a negative control that count as a result.
CONCLUSIVE = ("held", "superficial", "skip")
SUITE_STAGES = ("functional", "restore", "upgrade")  # their result depends on a suite's assertions


@dataclass(frozen=True, slots=True)
class Case:
    """One test case as recorded; `seconds` is its own time."""

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
    """The outcome of a stage with its reason, the number of its cases and their time in seconds."""

    name: str
    outcome: StageOutcome
    reason: str
    cases: int
    seconds: float

    @property
    def holds(self) -> bool:
        """True if the level can include this stage."""
        return self.outcome in ("pass", "skip")


@dataclass(frozen=True, slots=True)
class Rung:
    """One level of the ladder: reached when all its stages pass or are skipped."""

    number: int
    stages: tuple[str, ...]
    sentence: str


LADDER = (
    Rung(1, ("install", "redeploy"), "installs"),
    Rung(2, ("upgrade",), "upgrades and keeps its data"),
    Rung(3, ("backup", "restore"), "restores from backup"),
    Rung(4, ("functional",), "passes functional tests"),
    Rung(5, ("lint", "cleanup"), "passes lint and cleans up"),
)


@dataclass(frozen=True, slots=True)
class RunEvents:
    """The events of a run, sorted.

    Attributes:
        start: its first event, `NO_EVENT` if it is missing.
        end: its last event, None if the run died.
        last_stage: the stage that started last, "" before the first.
        in_stage: no case of that stage was recorded after its start.
        last_phase: the phase that finished last, "" before the first.
        scan: the secret scan of the run directory, None if it did not run.
        missing: ids of planned cases and negative controls without a result.
        tampered: what else was written to the events, "" for nothing.
    """

    start: Event
    end: Event | None
    cases: tuple[Case, ...]
    stages: Mapping[str, StageResult]
    last_stage: str
    in_stage: bool
    last_phase: str
    scan: Event | None
    missing: tuple[str, ...]
    tampered: str

    @property
    def no_secret_leak(self) -> bool | None:
        """True if the secret scan found nothing, None if it did not run."""
        return None if self.scan is None else self.scan.data.get("clean") is True

    @property
    def lane(self) -> plan.Lane:
        """The requested lane."""
        return "quick" if self.start.text("lane") == "quick" else "cold"

    @property
    def whole(self) -> bool:
        """True if the whole lane was planned; a suite may have no functional test."""
        return plan.is_whole([*self.start.texts("stages"), "functional"], self.lane)


def gather(found: Sequence[Event]) -> RunEvents:
    """Sort the events of a run; they may stop at any point."""
    start = next((event for event in found if event.name == "run-started"), NO_EVENT)
    controls = {e.text("id"): e.text("outcome") for e in found if e.name == "control"}
    superficial = {_function(id_) for id_, outcome in controls.items() if outcome == "superficial"}
    reported = {e.text("id") for e in found if e.name == "case"}
    reported |= {name for name, outcome in controls.items() if outcome in CONCLUSIVE}
    cases = tuple(_downgrade(_case(event), superficial) for event in found if event.name == "case")
    started = [event for event in found if event.name in ("stage-started", "case")]
    phases = [event for event in found if event.name == "phase"]
    declared = start.data.get("not_applicable")
    outcomes = stage_outcomes(
        _planned(start), cases, declared if isinstance(declared, dict) else NO_REASONS
    )
    return RunEvents(
        start=start,
        end=_last(found, "run-finished"),
        cases=cases,
        stages=outcomes,
        last_stage=started[-1].text("stage") if started else "",
        in_stage=bool(started) and started[-1].name == "stage-started",
        last_phase=phases[-1].text("phase") if phases else "",
        scan=_last(found, "scan"),
        tampered="".join(e.text("text") for e in found if e.name == "tampered"),
        missing=tuple(name for name in start.texts("planned") if name not in reported),
    )


def _function(name: str) -> str:
    """Return the name of a case's function, without its parameters."""
    return name.partition("[")[0]


def _downgrade(case: Case, superficial: Collection[str]) -> Case:
    """Downgrade a pass to unverified if its negative control passed as well."""
    if case.outcome != "pass" or case.stage not in SUITE_STAGES:
        return case
    if _function(case.id) not in superficial:
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
    """Return the planned stages in order, for a whole lane with "functional" even without a test of it."""
    stages = start.texts("stages")
    lane: plan.Lane = "quick" if start.text("lane") == "quick" else "cold"
    if "functional" in stages or not plan.is_whole([*stages, "functional"], lane):
        return stages
    order = plan.LANE_STAGES[lane]
    after = order[order.index("functional") + 1]
    position = stages.index(after)
    return (*stages[:position], "functional", *stages[position:])


# %% Stages


def stage_outcomes(
    planned: Sequence[str], cases: Sequence[Case], not_applicable: Mapping[str, str] = NO_REASONS
) -> dict[str, StageResult]:
    """Return the outcome of every stage that was planned or has a case.

    Args:
        planned: names of the planned stages.
        cases: all cases of the run.
        not_applicable: reasons of stages that the suite declares not applicable.
    """
    names = dict.fromkeys((*planned, *(case.stage for case in cases)))
    cleaned_up = any(case.stage == "cleanup" for case in cases)
    return {
        name: _stage(
            name, [c for c in cases if c.stage == name], not_applicable.get(name), cleaned_up
        )
        for name in names
    }


def _stage(name: str, cases: Sequence[Case], declared: str | None, cleaned_up: bool) -> StageResult:
    outcome, reason = _outcome(cases) if cases else _without_case(name, declared, cleaned_up)
    return StageResult(name, outcome, reason, len(cases), round(sum(c.seconds for c in cases), 3))


def _without_case(name: str, declared: str | None, cleaned_up: bool) -> tuple[StageOutcome, str]:
    if declared is not None:
        return "skip", declared
    return "unverified", NO_FUNCTIONAL_TEST if name == "functional" and cleaned_up else NOT_REACHED


def _outcome(cases: Sequence[Case]) -> tuple[StageOutcome, str]:
    """Return the outcome of a stage with cases; the worst case decides."""
    bad = [case for case in cases if case.outcome in ("fail", "error")]
    if bad:
        return "fail", _first_message(bad, "failed")
    unverified = [case for case in cases if case.outcome == "unverified"]
    if unverified:
        return "unverified", _first_message(unverified, "did not run")
    skipped = [case for case in cases if case.outcome == "skip"]
    undeclared = [case for case in skipped if not case.structural]
    some = "every test was" if len(skipped) == len(cases) else f"{len(skipped)} of {len(cases)}"
    if undeclared:
        return "unverified", f"{some} skipped: {_first_message(undeclared, 'skipped')}"
    if len(skipped) < len(cases):
        return (
            "pass",
            f"{some} skipped: {_first_message(skipped, 'not applicable')}" if skipped else "",
        )
    return "skip", _first_message(skipped, "not applicable")


def _first_message(cases: Sequence[Case], default: str) -> str:
    return next((case.message for case in cases if case.message), default)


# %% The level


def level(outcomes: Mapping[str, StageResult]) -> int:
    """Return the highest level that is reached together with all below it, 0 for none."""
    reached = 0
    for rung in LADDER:
        if any(name not in outcomes or not outcomes[name].holds for name in rung.stages):
            break
        reached = rung.number
    return reached


def capped_by(outcomes: Mapping[str, StageResult]) -> StageResult | None:
    """Return the stage that prevents the next level, None at the top."""
    for rung in LADDER:
        for name in rung.stages:
            found = outcomes.get(name)
            if found is None:
                return StageResult(name, "unverified", "not planned", 0, 0.0)
            if not found.holds:
                return found
    return None


def sentence(reached: int) -> str:
    """Return the meaning of a level in words."""
    rungs = [rung.sentence for rung in LADDER if rung.number <= reached]
    return ", ".join(rungs) or "does not install"
