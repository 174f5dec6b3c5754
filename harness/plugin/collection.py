"""Which tests there are for each recipe, and in which order: pytest's hooks of the collection.

The lifecycle's tests are made for each enrolled recipe, checks for each operation, a negative control
for each functional test. After pytest's own selection what the selected ones need is brought back.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.plugin import suite_guard
from harness.plugin.session import RUNS, Runs
from harness.plugin.usage import as_usage
from harness.runs import preflight
from harness.suites import collect, markers
from harness.suites.collect import PLACE, Suite


def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> Any:
    """Make the items of checks; seeds and wrecks are remembered, not run as tests."""
    runs: Runs | None = collector.config.stash.get(RUNS, None)
    role = markers.role_of(obj)
    if runs is None or role is None or not callable(obj):
        return None
    suites = runs.settings.suites_dir
    if collect.is_lifecycle(collector.path, suites):
        with as_usage():
            names = collect.enrolled(suites)
        return list(collect.check_items(collector, name, obj, names, named=True))
    recipe = collect.recipe_of(collector.path, suites)
    if recipe is None or getattr(obj, "__module__", "") != collector.module.__name__:
        return None
    runs.suites.setdefault(recipe, Suite()).add(role, obj)
    if role != "check":
        return []
    return list(collect.check_items(collector, name, obj, [recipe], named=False))


@pytest.hookimpl(wrapper=True, specname="pytest_pycollect_makeitem")
def pytest_add_controls(collector: Any, name: str, obj: object) -> Generator[None, Any, Any]:
    """Make the negative control of each functional test beside it."""
    made = yield
    runs = collector.config.stash.get(RUNS, None)
    recipe = collect.recipe_of(collector.path, runs.settings.suites_dir) if runs else None
    if recipe is None or not isinstance(made, list):
        return made
    return [*made, *collect.controls_of(made, recipe)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make the lifecycle's tests once for each enrolled recipe."""
    runs = metafunc.config.stash.get(RUNS, None)
    path = Path(str(metafunc.module.__file__))
    if runs is None or not collect.is_lifecycle(path, runs.settings.suites_dir):
        return
    with as_usage():
        names = collect.enrolled(runs.settings.suites_dir)
    metafunc.fixturenames.append("recipe_name")
    metafunc.parametrize("recipe_name", names, ids=names, scope="function")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every item its place and its markers, before pytest selects by them."""
    runs = config.stash.get(RUNS, None)
    if runs is None:
        return
    with as_usage():
        _refuse_hooks(config, runs)
        runs.place(items)
        preflight.asked(runs.settings, config.option.recipe, runs.request.ref, runs.only)
        recipe = config.option.recipe
        if recipe:
            gone = [item for item in items if item.stash[PLACE].recipe != recipe]
            items[:] = [item for item in items if item.stash[PLACE].recipe == recipe]
            config.hook.pytest_deselected(items=gone)
    runs.remember(items)


def _refuse_hooks(config: pytest.Config, runs: Runs) -> None:
    """Refuse suites that carry hooks of pytest: with these they would choose what is run and told.

    Raises:
        UsageError: names file and hook.
    """
    found = suite_guard.hooks_of(config, runs.settings.suites_dir)
    if found:
        raise UsageError(
            f"a suite may not carry hooks of pytest, but there is {found[0]}; "
            "a fixture does what a suite needs"
        )


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_order_collected(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After pytest's own selection: add what is needed, order by recipe and step."""
    runs = config.stash.get(RUNS, None)
    if runs is not None:
        with as_usage():
            gone = runs.select(items)
        counted = config.pluginmanager.getplugin("terminalreporter")
        if counted is not None:
            counted.stats.pop("deselected", None)
            config.hook.pytest_deselected(items=gone)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Refuse a suite's file that skips itself as a whole: its checks would silently be none."""
    report = yield
    runs = collector.config.stash.get(RUNS, None)
    if (
        runs is not None
        and report.skipped
        and collect.recipe_of(collector.path, runs.settings.suites_dir)
    ):
        report.outcome = "failed"
        report.longrepr = (
            f"{collector.nodeid} skips itself as a whole; say `not_applicable` in recipe.yml"
        )
    return report
