"""pytest hooks around each test: skip on unmet needs, limit time, record, close the run at its end."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from harness.errors import CcCiError
from harness.host import signals
from harness.plugin.items import ITEM_STEP, ItemStep
from harness.plugin.session import RUNS, Runs
from harness.reporting.level import SUPERFICIAL
from harness.suites.outcome import HarnessSkip, Outcome, outcome_of

CONTROL_TIMEOUT = 3.0  # seconds for one negative control
MAX_IMMEDIATE = 0.5  # seconds; a control that fails later may have waited for the proxy


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Close a recipe's run after its last item, also when the session is interrupted."""
    item_step = item.stash.get(ITEM_STEP, None)
    if item_step is None:
        return (yield)
    runs = item.config.stash[RUNS]
    follows = nextitem is not None and nextitem.stash[ITEM_STEP].recipe == item_step.recipe
    try:
        result = yield
    except BaseException as error:
        if isinstance(error, pytest.exit.Exception):
            why = f"it ended the whole session: {error}"
            runs.record_session_exit(item, item_step, why)
        runs.close()
        raise
    if not follows:
        runs.close()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a step that cannot work: one whose need did not pass is unverified, not failed."""
    item_step = item.stash.get(ITEM_STEP, None)
    if item_step is None:
        return (yield)
    runs = item.config.stash[RUNS]
    reason = runs.skip_reason(item_step)
    if reason:
        raise HarnessSkip(reason)
    if not item_step.is_control:
        return (yield)
    runs.stop_app(item_step)
    with signals.time_limit(CONTROL_TIMEOUT, item.name):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Limit a negative control to a short time: with the app stopped there is nothing to wait for."""
    item_step = item.stash.get(ITEM_STEP, None)
    if item_step is None or not item_step.is_control:
        return (yield)
    start = time.monotonic()
    try:
        with signals.time_limit(CONTROL_TIMEOUT, item.name):
            return (yield)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException:
        if time.monotonic() - start < MAX_IMMEDIATE:
            raise
    # It waited for the proxy, which still tried the stopped tasks. Try again once the proxy has noticed.
    item.config.stash[RUNS].wait_until_unrouted(item_step)
    with signals.time_limit(CONTROL_TIMEOUT, item.name):
        item.runtest()
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record each case as an event; our own errors are shown without a traceback."""
    report = yield
    item_step = item.stash.get(ITEM_STEP, None)
    if item_step is not None and (call.when == "call" or report.outcome != "passed"):
        error = call.excinfo.value if call.excinfo else None
        outcome = outcome_of(report, error)
        runs = item.config.stash[RUNS]
        if item_step.is_control:
            return _report_control(runs, item, item_step, outcome, report)
        runs.record_case(item, item_step, outcome, report.duration)
        report.user_properties += [("stage", item_step.step.stage), ("recipe", item_step.recipe)]
        if isinstance(error, CcCiError) and report.failed:
            report.longrepr = runs.scrub(str(error))
        elif report.failed:
            report.longrepr = runs.scrub(str(report.longrepr))
    return report


def _report_control(
    runs: Runs,
    item: pytest.Item,
    item_step: ItemStep,
    outcome: Outcome,
    report: pytest.TestReport,
) -> pytest.TestReport:
    """Invert a negative control for pytest's counts: it has to fail."""
    if report.when == "teardown":  # a fixture cannot undo anything in a stopped app
        report.outcome, report.longrepr = "passed", None
        return report
    held = runs.record_control(item, item_step, outcome, report.duration)
    if not held:
        report.outcome, report.longrepr = "failed", SUPERFICIAL
    elif report.failed:
        report.outcome = "passed" if report.when == "call" else "skipped"
        report.longrepr = None if report.when == "call" else (str(item.path), 0, "held")
    return report


def pytest_report_teststatus(report: Any, config: pytest.Config) -> tuple[str, str, str] | None:
    """Keep pytest's dots out of the live output of runs; the counts stay."""
    if config.stash.get(RUNS, None) is None or getattr(report, "when", "") == "collect":
        return None
    if getattr(report, "passed", False):
        return ("passed", "", "") if report.when == "call" else ("", "", "")
    if getattr(report, "skipped", False):
        return "skipped", "", ""
    if getattr(report, "failed", False):
        return ("failed" if report.when == "call" else "error"), "", ""
    return None
