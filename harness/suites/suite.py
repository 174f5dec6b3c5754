"""A recipe's suite: its folder, the functions its author marked, and the rules it must follow.

A broken rule is reported in one sentence at collection, before anything is deployed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contract.enrolled import recipes as enrolled_recipes
from harness import plan
from harness.errors import UsageError
from harness.suites import markers

LIFECYCLE = "test_lifecycle.py"  # in the folder of suites: the generic steps


@dataclass
class Suite:
    """The functions that a recipe's suite marked, in the order of its files."""

    seeds: list[Callable[..., Any]] = field(default_factory=list)
    checks: list[Callable[..., Any]] = field(default_factory=list)
    wrecks: list[Callable[..., Any]] = field(default_factory=list)

    def add(self, role: markers.Role, function: Callable[..., Any]) -> None:
        """Add one function of the suite."""
        {"seed": self.seeds, "check": self.checks, "wreck": self.wrecks}[role].append(function)


# %% Folders


def enrolled(suites: Path) -> list[str]:
    """Return the recipes that have a folder among the suites, sorted.

    Args:
        suites: the folder of all suites, `recipes_tests/`.

    Raises:
        UsageError: the folder does not exist or contains no suite.
    """
    try:
        found = sorted(enrolled_recipes(suites))
    except OSError as error:
        raise UsageError(f"cannot list the suites in '{suites}': {error.strerror}") from error
    if not found:
        raise UsageError(f"no recipe is enrolled: '{suites}' contains no folder")
    return found


def recipe_of(path: Path, suites: Path) -> str | None:
    """Return the recipe whose suite contains a file, None for files elsewhere."""
    try:
        parts = path.relative_to(suites).parts
    except ValueError:
        return None
    return parts[0] if len(parts) > 1 else None


def is_lifecycle(path: Path, suites: Path) -> bool:
    """Return True for the file with the generic steps."""
    return path == suites / LIFECYCLE


# %% Rules


def stage_of(item: pytest.Item) -> str:
    """Return the stage that a suite's test is marked with.

    Raises:
        UsageError: it has no stage marker, more than one, or one that suites may not use.
    """
    stages = sorted({mark.name for mark in item.iter_markers() if mark.name in plan.STAGES})
    if len(stages) == 1 and stages[0] in plan.TESTS:
        return stages[0]
    allowed = ", ".join(plan.TESTS)
    found = " and ".join(stages) or "none"
    raise UsageError(
        f"{item.nodeid} must have exactly one stage marker out of {allowed}; it has {found}"
    )


def refuse_without_assertion(item: pytest.Function) -> None:
    """Refuse a test of a suite that asserts nothing.

    Raises:
        UsageError: names the test.
    """
    if not markers.asserts_something(item.function):
        raise UsageError(
            f"{item.nodeid} asserts nothing, so it always passes; add an assertion, or mark it "
            "@seed or @wreck if it only prepares or destroys something"
        )


def refuse_seeds_without_check(recipe: str, suite: Suite) -> None:
    """Refuse a suite that has a seed but no check.

    Raises:
        UsageError: names the recipe and the seed.
    """
    if suite.seeds and not suite.checks:
        raise UsageError(
            f"the suite of '{recipe}' has a @seed ({suite.seeds[0].__name__}) but no @check, "
            "so nothing would verify that the data survives"
        )
