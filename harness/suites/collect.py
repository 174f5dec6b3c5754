"""From pytest's items to the steps of runs: which recipe, which step, which lane, in which order.

The lifecycle's own tests are made once for each enrolled recipe; a suite's checks once after each
operation; a suite's other tests carry exactly one stage. Everything wrong is one sentence at
collection, before anything is deployed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import plan
from harness.errors import UsageError
from harness.plan import Lane, Step
from harness.suites import markers

LIFECYCLE = "test_lifecycle.py"


@dataclass
class Suite:
    """What the authors of one recipe marked: functions by role, in the order of the file."""

    seeds: list[Callable[..., Any]] = field(default_factory=list)
    checks: list[Callable[..., Any]] = field(default_factory=list)
    wrecks: list[Callable[..., Any]] = field(default_factory=list)
    tests: int = 0

    def add(self, role: markers.Role, function: Callable[..., Any]) -> None:
        """Remember one function of the suite."""
        {"seed": self.seeds, "check": self.checks, "wreck": self.wrecks}[role].append(function)


@dataclass(frozen=True)
class Place:
    """Where an item belongs: its recipe and its step."""

    recipe: str
    step: Step

    @property
    def is_control(self) -> bool:
        """Whether the item must fail, since it runs against a stopped app."""
        return self.step is plan.CONTROL


PLACE: pytest.StashKey[Place] = pytest.StashKey()


def enrolled(suites: Path) -> list[str]:
    """Return the recipes that have a folder among the suites, sorted.

    Raises:
        UsageError: the folder does not exist or holds no suite.
    """
    try:
        found = sorted(p.name for p in suites.iterdir() if p.is_dir() and p.name[0] not in "_.")
    except OSError as error:
        raise UsageError(f"cannot list the suites in '{suites}': {error.strerror}") from error
    if not found:
        raise UsageError(f"no recipe is enrolled: '{suites}' has no folder")
    return found


def recipe_of(path: Path, suites: Path) -> str | None:
    """Return the recipe whose suite a file belongs to, or None for files elsewhere."""
    try:
        parts = path.relative_to(suites).parts
    except ValueError:
        return None
    return parts[0] if len(parts) > 1 else None


def is_lifecycle(path: Path, suites: Path) -> bool:
    """Say whether a file is the lifecycle of the generic stages."""
    return path == suites / LIFECYCLE


def check_items(
    collector: Any, name: str, function: Callable[..., Any], recipes: list[str], *, named: bool
) -> Iterator[pytest.Function]:
    """Make a check's items: one after each operation, for each recipe given.

    named: put the recipe into the item's name, as for the lifecycle's own check.
    """
    for recipe in recipes:
        for moment, step in plan.CHECKS.items():
            suffix = f"{moment}-{recipe}" if named else moment
            item = pytest.Function.from_parent(
                collector, name=f"{name}[{suffix}]", callobj=function, originalname=name
            )
            item.stash[PLACE] = Place(recipe, step)
            yield item
        if not named:
            yield _control(collector, function, name, name, recipe)


def controls_of(items: Iterable[object], recipe: str) -> Iterator[pytest.Function]:
    """Make the negative controls of a suite's functional tests: the same, once the app is stopped."""
    tests = (item for item in items if isinstance(item, pytest.Function))
    for item in tests:
        if PLACE not in item.stash and item.get_closest_marker("functional"):
            yield _control_of(item, recipe)


def _control_of(item: pytest.Function, recipe: str) -> pytest.Function:
    return _control(
        item.parent,
        item.obj,
        item.originalname,
        item.name,
        recipe,
        callspec=getattr(item, "callspec", None),
        fixtureinfo=item._fixtureinfo,  # noqa: SLF001 - how pytest itself hands parameters on
    )


def _control(
    parent: Any, function: Callable[..., Any], original: str, name: str, recipe: str, **more: Any
) -> pytest.Function:
    name = (
        f"{name[:-1]}-{plan.CONTROL.name}]"
        if name.endswith("]")
        else f"{name}[{plan.CONTROL.name}]"
    )
    item = pytest.Function.from_parent(
        parent, name=name, callobj=function, originalname=original, **more
    )
    item.stash[PLACE] = Place(recipe, plan.CONTROL)
    return item


def stage_of(item: pytest.Item) -> str:
    """Return the one stage a suite's test is marked with.

    Raises:
        UsageError: it carries none, or more than one.
    """
    stages = sorted({mark.name for mark in item.iter_markers() if mark.name in plan.STAGES})
    if len(stages) == 1 and stages[0] in plan.TESTS:
        return stages[0]
    allowed = ", ".join(plan.TESTS)
    saw = " and ".join(stages) or "none"
    raise UsageError(
        f"{item.nodeid} must carry exactly one stage marker out of {allowed}; it carries {saw}"
    )


def lane_of(markexpr: str, quick: bool) -> Lane:
    """Return the lane that a marker expression asks for; cold unless quick is wanted."""
    if quick or re.search(r"(?<!not )\bquick\b", markexpr):
        return "quick"
    return "cold"


def refuse_empty(item: pytest.Function) -> None:
    """Refuse a test of a suite that asserts nothing.

    Raises:
        UsageError: names the test.
    """
    if not markers.proves_something(item.function):
        raise UsageError(
            f"{item.nodeid} asserts nothing, so it can only pass; add an assertion, or mark it "
            "@seed or @wreck if it only does something"
        )


def refuse_unpaired(recipe: str, found: Suite) -> None:
    """Refuse seeds that nothing checks.

    Raises:
        UsageError: names the recipe.
    """
    if found.seeds and not found.checks:
        raise UsageError(
            f"the suite of '{recipe}' seeds ({found.seeds[0].__name__}) but has no @check: "
            "whether the data survived would never be looked at"
        )


def order(item: pytest.Item, lane: Lane) -> tuple[str, int]:
    """Return the sort key of an item: recipes one after the other, each in the order of its steps."""
    place = item.stash[PLACE]
    return place.recipe, place.step.position(lane) or 0
