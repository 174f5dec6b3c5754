"""The steps of a run: their order, what each needs, and in which life it runs.

A stage consists of steps. Each generic test (`recipes_tests/test_lifecycle.py`) is one step. A suite's
checks are one step after each operation; its other tests run after the stage that they are marked with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from contract import verdicts

Lane = verdicts.Lane

STAGES = (
    *("lint", "install", "functional", "redeploy", "backup", "restore"),
    *("recipe_tests", "upgrade", "cleanup"),
)
EXTRA = frozenset({"recipe_tests"})  # neither a complete run nor a level needs it
STAGE_MEANING = {
    "lint": "the recipe's files follow abra's rules",
    "install": "a new deployment of the head becomes healthy",
    "functional": "the app's main functions work",
    "redeploy": "deploying the same version again changes nothing",
    "backup": "the snapshot contains the app's data",
    "restore": "lost data comes back from the snapshot",
    "recipe_tests": "the tests in the recipe's own repository pass (trusted recipes only)",
    "upgrade": "the published version upgrades to the head and keeps its data",
    "cleanup": "nothing is left behind",
}
LANE_STAGES: dict[Lane, tuple[str, ...]] = {
    "cold": tuple(stage for stage in STAGES if stage not in EXTRA),
    "quick": ("lint", "upgrade", "functional", "cleanup"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        name: unique among the steps of its table.
        stage: the stage that its result belongs to.
        cold: position in the cold lane, lowest first; None if it does not run there.
        quick: the same for the quick lane.
        needs: generic steps that must have passed before it, where they run in the same life.
    """

    name: str
    stage: str
    cold: int | None
    quick: int | None
    needs: tuple[str, ...] = ()

    def position(self, lane: Lane) -> int | None:
        """Return the position of the step in a lane, None if it does not run there."""
        return self.cold if lane == "cold" else self.quick

    def life(self, lane: Lane) -> str:
        """Return the life in which the step runs: fresh, upgrade or warm; "" if it needs no app."""
        if self.stage in ("lint", "cleanup"):
            return ""
        if lane == "quick":
            return "warm"
        return "upgrade" if self.stage == "upgrade" else "fresh"


GENERIC = {  # by the name of the function in test_lifecycle.py
    step.name: step
    for step in (
        Step("test_lint", "lint", 10, 10),
        Step("test_install", "install", 20, None),
        Step("test_health", "install", 22, None, ("test_install",)),
        Step("test_seed", "install", 30, None, ("test_health",)),
        Step("test_redeploy_is_a_no_op", "redeploy", 60, None, ("test_health",)),
        Step("test_backup", "backup", 70, None, ("test_seed",)),
        Step("test_restore", "restore", 80, None, ("test_backup",)),
        # Runs last in its life, so that no other stage sees what these tests do to the app.
        Step("test_recipe_tests", "recipe_tests", 90, 150, ("test_health", "test_upgrade")),
        Step("test_base", "upgrade", 110, 110),
        Step("test_upgrade", "upgrade", 120, 120, ("test_base",)),
        Step("test_leave_no_trace", "cleanup", 200, 200),
    )
}
CHECKS = {  # by the operation after which a suite's checks run
    step.name: step
    for step in (
        Step("after-install", "install", 40, None, ("test_seed",)),
        Step("after-redeploy", "redeploy", 65, None, ("test_redeploy_is_a_no_op", "test_seed")),
        Step("after-restore", "restore", 85, None, ("test_restore",)),
        Step("after-upgrade", "upgrade", 130, 130, ("test_upgrade",)),
    )
}
TESTS = {  # by the stage that a suite's test is marked with
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


# The negative control: it runs last because it stops the app, and then everything must fail.
CONTROL = Step("while-stopped", "functional", 100, None, ("test_health",))


def needed(step: Step, lane: Lane) -> tuple[str, ...]:
    """Return the generic steps that must have passed before a step, in a lane."""
    life = step.life(lane)
    return tuple(
        name
        for name in step.needs
        if GENERIC[name].position(lane) is not None and GENERIC[name].life(lane) == life
    )


def closure(steps: Iterable[Step], lane: Lane) -> frozenset[str]:
    """Return the names of all generic steps that some steps need, directly or indirectly."""
    found: set[str] = set()
    queue = [name for step in steps for name in needed(step, lane)]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue += needed(GENERIC[name], lane)
    return frozenset(found)


def is_whole(stages: Collection[str], lane: Lane) -> bool:
    """Return True if `stages` has all stages of the lane."""
    return set(LANE_STAGES[lane]) <= set(stages)
