"""Pytest items of checks and negative controls, and the step of a recipe that each item is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness import plan
from harness.plan import Lane, Step

LANES: tuple[Lane, ...] = ("cold", "quick")


@dataclass(frozen=True)
class ItemStep:
    """What a pytest item is in a run: a step of a recipe."""

    recipe: str
    step: Step

    @property
    def is_control(self) -> bool:
        """True for a negative control: it runs against the stopped app and has to fail."""
        return self.step is plan.CONTROL

    @property
    def markers(self) -> tuple[str, ...]:
        """The markers by which pytest selects the item: its stage and its lanes."""
        lanes = (lane for lane in LANES if self.step.position(lane) is not None)
        return (self.step.stage, *lanes)


ITEM_STEP: pytest.StashKey[ItemStep] = pytest.StashKey()


def check_items(
    collector: Any,
    name: str,
    function: Callable[..., Any],
    recipes: list[str],
    *,
    recipe_in_name: bool,
) -> Iterator[pytest.Function]:
    """Make the items of a check: one after each operation, for each recipe.

    Args:
        collector: the pytest collector of the check's file.
        name: the check's name.
        function: the check.
        recipes: the recipes that it is for.
        recipe_in_name: put the recipe into the item's name and make no negative control, as for
            the lifecycle's own check.
    """
    for recipe in recipes:
        for operation, step in plan.CHECKS.items():
            suffix = f"{operation}-{recipe}" if recipe_in_name else operation
            item = pytest.Function.from_parent(
                collector, name=f"{name}[{suffix}]", callobj=function, originalname=name
            )
            item.stash[ITEM_STEP] = ItemStep(recipe, step)
            yield item
        if not recipe_in_name:
            yield _control(collector, function, name, name, recipe)


def controls_of(items: Iterable[object], recipe: str) -> Iterator[pytest.Function]:
    """Make the negative controls of a suite's functional tests."""
    for item in items:
        if not isinstance(item, pytest.Function) or ITEM_STEP in item.stash:
            continue
        if item.get_closest_marker("functional"):
            yield _control_of(item, recipe)


def _control_of(item: pytest.Function, recipe: str) -> pytest.Function:
    return _control(
        item.parent,
        item.obj,
        item.originalname,
        item.name,
        recipe,
        callspec=getattr(item, "callspec", None),
        fixtureinfo=item._fixtureinfo,  # noqa: SLF001 - how pytest itself passes parameters on
    )


def _control(
    parent: Any, function: Callable[..., Any], original: str, name: str, recipe: str, **more: Any
) -> pytest.Function:
    suffix = plan.CONTROL.name
    name = f"{name[:-1]}-{suffix}]" if name.endswith("]") else f"{name}[{suffix}]"
    item = pytest.Function.from_parent(
        parent, name=name, callobj=function, originalname=original, **more
    )
    item.stash[ITEM_STEP] = ItemStep(recipe, plan.CONTROL)
    return item


def order(item: pytest.Item, lane: Lane) -> tuple[str, int]:
    """Return the sort key of an item: recipes one after the other, each in the order of its steps."""
    found = item.stash[ITEM_STEP]
    return found.recipe, found.step.position(lane) or 0
