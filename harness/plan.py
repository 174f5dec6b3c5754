"""The order of one run: which steps there are, what each needs, and in which life it happens.

A step is what a stage is made of. The lifecycle's own tests are one step each; a suite's checks
appear once after each operation; its other tests follow the stage they are marked with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

Lane = Literal["cold", "quick"]

STAGES = (
    *("lint", "install", "functional", "redeploy", "backup", "restore"),
    *("recipe_tests", "upgrade", "cleanup"),
)
EXTRA = frozenset({"recipe_tests"})  # no run needs it to be whole, and no level stands on it
STAGE_MEANING = {
    "lint": "the recipe's files keep abra's rules",
    "install": "the head deploys on empty state, settles and answers",
    "functional": "the app does what it is for",
    "redeploy": "deploying the same again changes nothing",
    "backup": "the snapshot holds what it must",
    "restore": "what was lost comes back from the snapshot",
    "recipe_tests": "the tests in the recipe's own repository hold, where they are trusted to run",
    "upgrade": "the published version becomes the head and keeps its data",
    "cleanup": "nothing is left behind",
}
LANE_STAGES: dict[Lane, tuple[str, ...]] = {
    "cold": tuple(stage for stage in STAGES if stage not in EXTRA),
    "quick": ("lint", "upgrade", "functional", "cleanup"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its stage, its place in each lane (None where it does not run), what it needs."""

    name: str
    stage: str
    cold: int | None
    quick: int | None
    needs: tuple[str, ...] = ()

    def position(self, lane: Lane) -> int | None:
        """Return where the step stands in a lane, or None."""
        return self.cold if lane == "cold" else self.quick

    def life(self, lane: Lane) -> str:
        """Return the life the step happens in: fresh, upgrade or warm; "" where it needs none."""
        if self.stage in ("lint", "cleanup"):
            return ""
        if lane == "quick":
            return "warm"
        return "upgrade" if self.stage == "upgrade" else "fresh"


GENERIC = {
    step.name: step
    for step in (
        Step("test_lint", "lint", 10, 10),
        Step("test_install", "install", 20, None),
        Step("test_health", "install", 22, None, ("test_install",)),
        Step("test_seed", "install", 30, None, ("test_health",)),
        Step("test_redeploy_is_a_no_op", "redeploy", 60, None, ("test_health",)),
        Step("test_backup", "backup", 70, None, ("test_seed",)),
        Step("test_restore", "restore", 80, None, ("test_backup",)),
        # The last that needs the app of its life: what they do to it, no other stage sees.
        Step("test_recipe_tests", "recipe_tests", 90, 150, ("test_health", "test_upgrade")),
        Step("test_base", "upgrade", 110, 110),
        Step("test_upgrade", "upgrade", 120, 120, ("test_base",)),
        Step("test_leave_no_trace", "cleanup", 200, 200),
    )
}
CHECKS = {
    step.name: step
    for step in (
        Step("after-install", "install", 40, None, ("test_seed",)),
        Step("after-redeploy", "redeploy", 65, None, ("test_redeploy_is_a_no_op", "test_seed")),
        Step("after-restore", "restore", 85, None, ("test_restore",)),
        Step("after-upgrade", "upgrade", 130, 130, ("test_upgrade",)),
    )
}
TESTS = {
    step.name: step
    for step in (
        Step("install", "install", 45, None, ("test_health",)),
        Step("functional", "functional", 50, 140, ("test_health", "test_upgrade")),
        Step("redeploy", "redeploy", 66, None, ("test_redeploy_is_a_no_op",)),
        Step("backup", "backup", 75, None, ("test_backup",)),
        Step("restore", "restore", 86, None, ("test_restore",)),
        Step("upgrade", "upgrade", 135, 135, ("test_upgrade",)),
    )
}


# What must fail once the app is stopped; at the end of the life, since nothing works after it.
CONTROL = Step("while-stopped", "functional", 100, None, ("test_health",))


def needed(step: Step, lane: Lane) -> tuple[str, ...]:
    """Return the generic steps that must have passed before this one, in this lane."""
    life = step.life(lane)
    return tuple(
        name
        for name in step.needs
        if GENERIC[name].position(lane) is not None and GENERIC[name].life(lane) == life
    )


def closure(steps: Iterable[Step], lane: Lane) -> frozenset[str]:
    """Return the names of all generic steps that the given ones need, directly or not."""
    found: set[str] = set()
    queue = [name for step in steps for name in needed(step, lane)]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += needed(GENERIC[name], lane)
    return frozenset(found)


def is_whole(stages: Collection[str], lane: Lane) -> bool:
    """Say whether these stages are all that the lane has."""
    return set(LANE_STAGES[lane]) <= set(stages)
