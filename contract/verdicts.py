"""Verdicts of a run with their meaning and exit codes, and outcomes of its cases."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, get_args

Lane = Literal["cold", "quick"]
CaseOutcome = Literal["pass", "fail", "error", "skip", "unverified"]
OUTCOMES: frozenset[str] = frozenset(get_args(CaseOutcome))
Colour = Literal["green", "red", "grey"]
CommitState = Literal["success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a verdict means: in words, as a colour, as pytest's exit code and as a commit status."""

    sentence: str
    colour: Colour
    exit_code: int
    commit_state: CommitState


class Verdict(StrEnum):
    """The result of a run; only faults of the recipe or its suite turn a pull request red."""

    PASSED = "passed"
    RECIPE = "recipe"
    SUITE = "suite"
    TIMEOUT = "timeout"
    INFRA = "infra"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"

    @property
    def sentence(self) -> str:
        """The meaning in words."""
        return MEANING[self].sentence

    @property
    def colour(self) -> Colour:
        """The colour in report.json."""
        return MEANING[self].colour

    @property
    def exit_code(self) -> int:
        """The exit code of pytest."""
        return MEANING[self].exit_code

    @property
    def commit_state(self) -> CommitState:
        """The state of the commit status at the forge."""
        return MEANING[self].commit_state


# A run without a result is an "error": forges count "warning" as success among required statuses.
# A timeout exits with 1: it is not green, and it is not retried as an infrastructure problem is.
MEANING = {
    Verdict.PASSED: Meaning("all planned stages passed", "green", 0, "success"),
    Verdict.RECIPE: Meaning("the recipe failed", "red", 1, "failure"),
    Verdict.SUITE: Meaning("the recipe's suite is at fault", "red", 1, "failure"),
    Verdict.TIMEOUT: Meaning("timed out (not counted against the PR)", "grey", 1, "error"),
    Verdict.INFRA: Meaning("infrastructure problem, not the recipe's fault", "grey", 16, "error"),
    Verdict.INTERRUPTED: Meaning("the run was interrupted", "grey", 2, "error"),
    Verdict.CANCELLED: Meaning("the run was cancelled", "grey", 2, "error"),
}
INFRA_EXIT_CODE = MEANING[Verdict.INFRA].exit_code
USAGE_EXIT_CODE = 4  # pytest's own: wrong options or settings
NO_TESTS_EXIT_CODE = 5  # pytest's own: nothing was collected

WITHOUT_REPORT = {
    MEANING[Verdict.INTERRUPTED].exit_code: Verdict.INTERRUPTED,
    USAGE_EXIT_CODE: Verdict.INFRA,
    NO_TESTS_EXIT_CODE: Verdict.SUITE,
    INFRA_EXIT_CODE: Verdict.INFRA,
}


def of_exit_code(exit_code: int) -> Verdict:
    """Return the verdict on pytest that exited without a report: never passed, never the recipe's fault."""
    return WITHOUT_REPORT.get(exit_code, Verdict.INFRA)
