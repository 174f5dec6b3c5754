"""Stage outcomes from cases, and the level from stage outcomes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness import plan

StageOutcome = Literal["pass", "fail", "skip", "unverified"]


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
class Stage:
    """One stage's outcome, why, and the time of its cases in seconds."""

    name: str
    outcome: StageOutcome
    reason: str
    seconds: float


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
UNTESTED = "the suite has no test of what the app is for"


def stages(planned: Sequence[str], cases: Sequence[Case]) -> tuple[Stage, ...]:
    """Return the outcome of every planned stage."""
    return tuple(_stage(name, [c for c in cases if c.stage == name]) for name in planned)


def _stage(name: str, cases: Sequence[Case]) -> Stage:
    seconds = round(sum(case.seconds for case in cases), 3)
    for outcomes, verdict in ((("fail", "error"), "fail"), (("unverified",), "unverified")):
        worst = next((case for case in cases if case.outcome in outcomes), None)
        if worst is not None:
            return Stage(
                name, "fail" if verdict == "fail" else "unverified", worst.message, seconds
            )
    if not cases:
        return Stage(
            name, "unverified", UNTESTED if name == "functional" else "not reached", seconds
        )
    if any(case.outcome == "pass" for case in cases):
        return Stage(name, "pass", "", seconds)
    if all(case.structural for case in cases):
        return Stage(name, "skip", cases[0].message, seconds)
    return Stage(name, "unverified", f"every test was skipped: {cases[0].message}", seconds)


def level(found: Sequence[Stage], lane: str) -> int | None:
    """Return the highest rung reached, 0 for none; None where a level means nothing.

    Quick and partial runs have no level.
    """
    by_name: Mapping[str, Stage] = {stage.name: stage for stage in found}
    if lane != "cold" or not plan.is_whole([*by_name, "functional"], "cold"):
        return None
    reached = 0
    for rung in LADDER:
        if not all(_holds(by_name.get(name)) for name in rung.stages):
            break
        reached = rung.number
    return reached


def _holds(stage: Stage | None) -> bool:
    return stage is not None and stage.outcome in ("pass", "skip")


def sentence(reached: int) -> str:
    """Return what a level means, in words."""
    rungs = [rung.sentence for rung in LADDER if rung.number <= reached]
    return ", ".join(rungs) or "does not install"


def blockers(found: Collection[Stage]) -> list[Stage]:
    """Return the stages that are neither passed nor skipped."""
    return [stage for stage in found if not _holds(stage)]
