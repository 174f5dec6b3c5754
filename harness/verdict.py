"""The closed list of verdicts, and which one a run ends in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from harness.level import UNTESTED, Case, Stage


class Verdict(StrEnum):
    """How a run ends; only the recipe's and the suite's faults turn a pull request red."""

    PASSED = "passed"
    RECIPE = "recipe"
    SUITE = "suite"
    TIMEOUT = "timeout"
    INFRA = "infra"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"

    @property
    def exit_status(self) -> int:
        """pytest's exit status for this verdict."""
        return {"passed": 0, "infra": 16, "interrupted": 2, "cancelled": 2}.get(self.value, 1)

    @property
    def sentence(self) -> str:
        """What the verdict says, for people."""
        return SENTENCES[self.value]


SENTENCES = {
    "passed": "everything planned ran and held",
    "recipe": "the recipe failed",
    "suite": "the recipe's suite is at fault",
    "timeout": "a deadline passed; by itself not the pull request's fault",
    "infra": "trouble of the CI host or of something it needs; not the recipe's fault",
    "interrupted": "the run was interrupted",
    "cancelled": "the run was cancelled",
}
PRECEDENCE = (Verdict.RECIPE, Verdict.SUITE, Verdict.TIMEOUT, Verdict.INFRA)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict with its reason and the stage that decided it."""

    verdict: Verdict
    reason: str
    stage: str


def judge(
    cases: Sequence[Case], stages: Sequence[Stage], *, finished: bool, ended: str
) -> Judgement:
    """Judge a run from what was recorded.

    finished: whether the run came to its end. ended: why not, where it is known.
    """
    for verdict in PRECEDENCE:
        case = next((c for c in cases if c.fault == verdict.value), None)
        if case is not None:
            return Judgement(verdict, case.message, case.stage)
    if not finished:
        last = cases[-1].stage if cases else "the beginning"
        cancelled = ended.startswith("cancelled")
        verdict = Verdict.CANCELLED if cancelled else Verdict.INTERRUPTED
        return Judgement(verdict, ended or f"the run died after stage {last}", last)
    failed = next((c for c in cases if c.outcome in ("fail", "error")), None)
    if failed is not None:
        return Judgement(Verdict.INFRA, failed.message, failed.stage)
    unverified = [s for s in stages if s.outcome == "unverified" and s.reason != UNTESTED]
    if unverified:
        return Judgement(Verdict.SUITE, unverified[0].reason, unverified[0].name)
    if not any(case.outcome == "pass" for case in cases):
        return Judgement(Verdict.SUITE, "nothing was tested", "")
    return Judgement(Verdict.PASSED, "", "")
