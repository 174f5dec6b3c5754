"""Which steps of a session passed, and why a step that needs one that did not pass is not run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from harness import plan
from harness.plan import Lane
from harness.plugin.items import ItemStep
from harness.suites.outcome import NOT_APPLICABLE, NOT_RUN, Outcome

MAX_REASON = 300  # characters


class StepId(NamedTuple):
    """One step of one recipe's run."""

    recipe: str
    name: str


@dataclass
class Dependencies:
    """The outcomes of steps, for the steps that need them."""

    _passed: set[StepId] = field(default_factory=set)
    _not_applicable: dict[StepId, str] = field(default_factory=dict)
    _reasons: dict[StepId, str] = field(default_factory=dict)

    def record(self, item_step: ItemStep, title: str, outcome: Outcome) -> None:
        """Record the outcome of one case.

        Args:
            item_step: the case's step.
            title: the case's name for messages.
            outcome: its outcome.
        """
        step = StepId(item_step.recipe, item_step.step.name)
        if outcome.kind == "pass":
            self._passed.add(step)
            return
        self._passed.discard(step)
        message = outcome.message or ""
        if outcome.structural:
            self._not_applicable[step] = message
        reason = message if outcome.kind == "unverified" else f"{title} failed: {message}"
        self._reasons[step] = reason[:MAX_REASON]

    def skip_reason(self, item_step: ItemStep, lane: Lane) -> str | None:
        """Return why a step cannot be run, None if all steps that it needs have passed.

        The upgrade life is not run either if the head could not be installed.
        """
        recipe, step = item_step.recipe, item_step.step
        no_head = self._reasons.get(StepId(recipe, "test_install"))
        if no_head and step.life(lane) == "upgrade":
            return f"{NOT_RUN}{no_head}"
        for name in plan.needed(step, lane):
            needed = StepId(recipe, name)
            if needed in self._not_applicable:
                return f"{NOT_APPLICABLE}{self._not_applicable[needed]}"
            if needed not in self._passed:
                missing = f"{name.removeprefix('test_').replace('_', ' ')} did not run"
                return f"{NOT_RUN}{self._reasons.get(needed, missing)}"
        return None
