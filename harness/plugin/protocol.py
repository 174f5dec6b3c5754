"""What happens to one test of a recipe: not tried in vain, bounded, recorded, and its run closed after it."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import pytest

from harness.errors import CcCiError
from harness.host import signals
from harness.plugin.session import RUNS, Runs
from harness.reporting.level import SUPERFICIAL
from harness.suites.collect import PLACE, Place
from harness.suites.outcome import Declared, Outcome, outcome_of

CONTROL_TIMEOUT = 3.0  # seconds for one negative control
SOON = 0.5  # seconds; what fails later than that did not fail at once for want of the app


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Close a recipe's run after its last item, also when the session is interrupted."""
    place = item.stash.get(PLACE, None)
    if place is None:
        return (yield)
    runs = item.config.stash[RUNS]
    follows = nextitem is not None and nextitem.stash[PLACE].recipe == place.recipe
    try:
        result = yield
    except BaseException as error:
        if isinstance(error, pytest.exit.Exception):
            runs.blame(item, f"it ended the whole session: {error}")
        runs.close()
        raise
    if not follows:
        runs.close()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Do not try what cannot work: a step whose need failed is unverified, not failed."""
    place = item.stash.get(PLACE, None)
    if place is None:
        return (yield)
    runs = item.config.stash[RUNS]
    reason = runs.unmet(place)
    if reason:
        raise Declared(reason)
    if not place.is_control:
        return (yield)
    runs.stop_app(place)
    with signals.time_limit(CONTROL_TIMEOUT, item.name):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Give a negative control a short time: against a stopped app there is nothing to wait for."""
    place = item.stash.get(PLACE, None)
    if place is None or not place.is_control:
        return (yield)
    start = time.monotonic()
    try:
        with signals.time_limit(CONTROL_TIMEOUT, item.name):
            return (yield)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException:
        if time.monotonic() - start < SOON:
            raise
    # It hung on the proxy, which still tried what does not run any more: soon it answers itself.
    item.config.stash[RUNS].wait_forgotten(place)
    with signals.time_limit(CONTROL_TIMEOUT, item.name):
        item.runtest()
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record each case as an event; our own errors speak for themselves, without a traceback."""
    report = yield
    place = item.stash.get(PLACE, None)
    if place is not None and (call.when == "call" or report.outcome != "passed"):
        error = call.excinfo.value if call.excinfo else None
        outcome = outcome_of(report, error)
        runs = item.config.stash[RUNS]
        if place.is_control:
            return _controlled(runs, item, place, outcome, report)
        runs.record(item, place, outcome, report)
        report.user_properties += [("stage", place.step.stage), ("recipe", place.recipe)]
        if isinstance(error, CcCiError) and report.failed:
            report.longrepr = runs.scrub(str(error))
        elif report.failed:
            report.longrepr = runs.scrub(str(report.longrepr))
    return report


def _controlled(
    runs: Runs, item: pytest.Item, place: Place, outcome: Outcome, report: pytest.TestReport
) -> pytest.TestReport:
    """Turn a negative control round for pytest's counts: that it failed is what was wanted."""
    if report.when == "teardown":  # a fixture that cannot undo anything in a stopped app
        report.outcome, report.longrepr = "passed", None
        return report
    held = runs.record_control(item, place, outcome, report.duration)
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
