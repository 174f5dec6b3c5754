"""Which tests a session has for each recipe, and in which order: pytest's collection hooks.

The generic steps are made for each enrolled recipe, a check for each operation, a negative control for
each functional test. After pytest's own selection the steps that the selected ones need are added again.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import plan
from harness.errors import UsageError
from harness.plan import Lane
from harness.plugin import suite_guard
from harness.plugin.items import ITEM_STEP, ItemStep, check_items, controls_of, order
from harness.plugin.session import RUNS
from harness.runs import preflight
from harness.runs.record import RunPlan
from harness.suites import markers, suite_settings, trusted
from harness.suites.suite import (
    Suite,
    enrolled,
    is_lifecycle,
    recipe_of,
    refuse_seeds_without_check,
    refuse_without_assertion,
    stage_of,
)
from harness.suites.trusted import Trust


@contextmanager
def as_usage() -> Iterator[None]:
    """Turn our usage errors into pytest's: one sentence, exit code 4, nothing deployed.

    Raises:
        pytest.UsageError: with the same text; pytest marks the class as final.
    """
    try:
        yield
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def lane_of(markexpr: str, quick: bool) -> Lane:
    """Return the lane that a marker expression selects.

    Args:
        markexpr: as given to pytest's `-m`.
        quick: whether `--quick` was given.
    """
    if quick or re.search(r"(?<!not )\bquick\b", markexpr):
        return "quick"
    return "cold"


@dataclass
class Collection:
    """What the collection of a session needs to know.

    Attributes:
        folder: the folder of all suites.
        lane: the lane asked for.
        stages: the stages asked for with `--stages`; empty means all.
        suites: the marked functions of each recipe's suite, filled while pytest collects.
    """

    folder: Path
    lane: Lane
    stages: frozenset[str] = frozenset()
    suites: dict[str, Suite] = field(default_factory=dict)

    def prepare(self, items: list[pytest.Item], trust: Mapping[str, Trust]) -> None:
        """Give every item its step and markers, and drop generic steps that do not apply.

        Raises:
            UsageError: a suite breaks a rule.
        """
        for item in items:
            if ITEM_STEP not in item.stash:
                item.stash[ITEM_STEP] = self._step_of(item)
            if isinstance(item, pytest.Function) and not is_lifecycle(item.path, self.folder):
                refuse_without_assertion(item)
        for recipe, suite in self.suites.items():
            refuse_seeds_without_check(recipe, suite)
        items[:] = [item for item in items if not self._superfluous(item, trust)]
        for item in items:
            present = {mark.name for mark in item.iter_markers()}
            for name in item.stash[ITEM_STEP].markers:
                if name not in present:
                    item.add_marker(name)

    def _step_of(self, item: pytest.Item) -> ItemStep:
        if is_lifecycle(item.path, self.folder) and isinstance(item, pytest.Function):
            recipe = str(item.callspec.params["recipe_name"])
            return ItemStep(recipe, plan.GENERIC[item.originalname])
        owner = recipe_of(item.path, self.folder)
        if owner is None:
            raise UsageError(
                f"{item.nodeid} is not in '{self.folder}'; run recipes and other tests separately"
            )
        return ItemStep(owner, plan.TESTS[stage_of(item)])

    def _superfluous(self, item: pytest.Item, trust: Mapping[str, Trust]) -> bool:
        """Return True for a generic step that does not apply to its recipe.

        These are the check of the sentinel, if the suite has checks, and the recipe's own tests, if they
        are not trusted.
        """
        if not is_lifecycle(item.path, self.folder):
            return False
        found = item.stash[ITEM_STEP]
        if found.step.stage == "recipe_tests" and found.recipe not in trust:
            return True
        has_checks = bool(self.suites.get(found.recipe, Suite()).checks)
        return found.step.name in plan.CHECKS and has_checks

    def select(self, chosen: list[pytest.Item], candidates: list[pytest.Item]) -> list[pytest.Item]:
        """Return the items to run, ordered by recipe and step.

        Args:
            chosen: the items that pytest selected.
            candidates: all items that may be added, because a chosen one needs them.
        """
        chosen = [i for i in chosen if i.stash[ITEM_STEP].step.position(self.lane) is not None]
        if self.stages:
            chosen = [i for i in chosen if i.stash[ITEM_STEP].step.stage in self.stages]
        wanted = {id(item) for item in chosen}
        for recipe in {item.stash[ITEM_STEP].recipe for item in chosen}:
            steps = [i.stash[ITEM_STEP].step for i in chosen if i.stash[ITEM_STEP].recipe == recipe]
            needed = plan.closure(steps, self.lane) | {"test_leave_no_trace"}
            for item in candidates:
                found = item.stash[ITEM_STEP]
                if found.recipe == recipe and found.step.name in needed:
                    wanted.add(id(item))
        selected = (item for item in candidates if id(item) in wanted)
        return sorted(selected, key=lambda item: order(item, self.lane))

    def plans(self, items: list[pytest.Item], trust: Mapping[str, Trust]) -> dict[str, RunPlan]:
        """Return the plan of each recipe's run, in the order of the items.

        Raises:
            SettingError: a suite's recipe.yml is wrong.
        """
        by_recipe: dict[str, list[pytest.Item]] = {}
        for item in items:
            by_recipe.setdefault(item.stash[ITEM_STEP].recipe, []).append(item)
        return {
            recipe: self._plan(recipe, own, trust.get(recipe)) for recipe, own in by_recipe.items()
        }

    def _plan(self, recipe: str, items: list[pytest.Item], trust: Trust | None) -> RunPlan:
        steps = [item.stash[ITEM_STEP] for item in items]
        stages = {found.step.stage for found in steps if not found.is_control}
        return RunPlan(
            recipe,
            suite=self.suites.get(recipe, Suite()),
            suite_settings=suite_settings.load(self.folder / recipe / "recipe.yml"),
            stages=tuple(stage for stage in plan.STAGES if stage in stages),
            cases=tuple(item.name for item in items),
            trust=trust,
        )


COLLECTION: pytest.StashKey[Collection] = pytest.StashKey()  # only in sessions that test recipes


# %% Making items


def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> Any:
    """Make the items of checks; remember seeds and wrecks, which are not tests."""
    collection = collector.config.stash.get(COLLECTION, None)
    role = markers.role_of(obj)
    if collection is None or role is None or not callable(obj):
        return None
    if is_lifecycle(collector.path, collection.folder):
        with as_usage():
            recipes = enrolled(collection.folder)
        return list(check_items(collector, name, obj, recipes, recipe_in_name=True))
    recipe = recipe_of(collector.path, collection.folder)
    if recipe is None or getattr(obj, "__module__", "") != collector.module.__name__:
        return None
    collection.suites.setdefault(recipe, Suite()).add(role, obj)
    if role != "check":
        return []
    return list(check_items(collector, name, obj, [recipe], recipe_in_name=False))


@pytest.hookimpl(wrapper=True, specname="pytest_pycollect_makeitem")
def pytest_add_controls(collector: Any, name: str, obj: object) -> Generator[None, Any, Any]:
    """Add the negative control of each functional test."""
    made = yield
    collection = collector.config.stash.get(COLLECTION, None)
    recipe = recipe_of(collector.path, collection.folder) if collection else None
    if recipe is None or not isinstance(made, list):
        return made
    return [*made, *controls_of(made, recipe)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the generic steps once for each enrolled recipe."""
    collection = metafunc.config.stash.get(COLLECTION, None)
    path = Path(str(metafunc.module.__file__))
    if collection is None or not is_lifecycle(path, collection.folder):
        return
    with as_usage():
        names = enrolled(collection.folder)
    metafunc.fixturenames.append("recipe_name")
    metafunc.parametrize("recipe_name", names, ids=names, scope="function")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse a suite's file that skips itself as a whole: its checks would silently be missing."""
    report = yield
    collection = collector.config.stash.get(COLLECTION, None)
    if (
        collection is not None
        and report.skipped
        and recipe_of(collector.path, collection.folder) is not None
    ):
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid} skips itself as a whole; use `not_applicable` in recipe.yml"
        )
    return report


# %% Selecting items


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Give items their markers before pytest selects by them; afterwards add what is needed."""
    collection = config.stash.get(COLLECTION, None)
    if collection is None:
        return (yield)
    collected, recipe = list(items), config.option.recipe
    with as_usage():
        suite_guard.refuse_hooks(config, collection.folder)
        trust = trusted.load(collection.folder, enrolled(collection.folder))
        collection.prepare(items, trust)
        preflight.check_request(collection.folder, recipe, config.option.ref, collection.stages)
    items[:] = [i for i in items if not recipe or i.stash[ITEM_STEP].recipe == recipe]
    candidates = list(items)
    yield
    items[:] = collection.select(items, candidates)
    with as_usage():
        config.stash[RUNS].plans = collection.plans(items, trust)
    _report_deselected(config, collected, items)


def _report_deselected(
    config: pytest.Config, collected: list[pytest.Item], selected: list[pytest.Item]
) -> None:
    """Correct pytest's count of deselected tests; it has counted those that were added again."""
    counted = config.pluginmanager.getplugin("terminalreporter")
    if counted is not None:
        counted.stats.pop("deselected", None)
        kept = {id(item) for item in selected}
        config.hook.pytest_deselected(items=[item for item in collected if id(item) not in kept])
