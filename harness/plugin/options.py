"""The plugin's options, and the start and end of a session that tests recipes.

In the rest of the plugin, `collection` chooses the tests, `fixtures` provides what they use, `protocol` runs
and records each one, and `workers` is for sessions with `-n`. Deploying happens in tests, so a broken recipe
is a failure. Fetching, naming and waiting for a slot happen in fixtures, so an infrastructure problem is an
error. A run is opened by the first of a recipe's tests and closed after the last, whatever happens between.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from contract.verdicts import INFRA_EXIT_CODE
from harness import plan, settings
from harness.errors import CcCiError
from harness.host import signals
from harness.plugin import cancel_watch, suite_guard, workers
from harness.plugin.collection import COLLECTION, Collection, as_usage, lane_of
from harness.plugin.session import RUNS, Runs, new_session_id
from harness.runs import preflight
from harness.runs.record import Request
from harness.suites.suite import LIFECYCLE, enrolled

# Our own tests turn warnings into errors, but a recipe must not fail by them: when the Docker engine goes
# away, its SDK leaves about a hundred open sockets, and their warnings counted as failures of the suite.
IGNORED_WARNINGS = (
    "ResourceWarning",
    "pytest.PytestUnraisableExceptionWarning",
    "pytest.PytestUnhandledThreadExceptionWarning",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each takes its default from the build parameter of the same meaning."""
    group = parser.getgroup("cc-ci", "testing Co-op Cloud recipes")
    env = os.environ.get
    group.addoption("--recipe", default=env("RECIPE", ""), help="test exactly this recipe")
    group.addoption("--ref", default=env("REF", ""), help="full commit sha to test")
    group.addoption(
        "--pr", default=env("PR", "0"), help="number of the pull request, 0 without one"
    )
    group.addoption(
        "--src", default=env("SRC", ""), help="owner/name of the repository to fetch from"
    )
    group.addoption(
        "--stages", default=env("STAGES", ""), help="comma-separated list of stages to run"
    )
    group.addoption(
        "--quick",
        action="store_true",
        default=env("CCCI_QUICK", "") == "1",
        help="the quick lane: tests the upgrade only; lower confidence, no level",
    )
    group.addoption("--keep", action="store_true", help="keep the app of a failed run up for 2 h")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; in a session that tests recipes, also prepare the runs and the signals."""
    for stage, meaning in plan.STAGE_MEANING.items():
        config.addinivalue_line("markers", f"{stage}: stage of a recipe's run: {meaning}")
    config.addinivalue_line("markers", "cold: runs in the full lane (the default)")
    config.addinivalue_line("markers", "quick: runs in the quick lane (lower confidence)")
    with as_usage():
        found = settings.load(os.environ)
    if not _select_suites(config, found.suites_dir):
        return
    for warning in IGNORED_WARNINGS:
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    with as_usage():
        enrolled(found.suites_dir)
        preflight.check_markers(config.option.markexpr)
    request, stages = _request(config.option), _split(config.option.stages)
    session_id = workers.session_of(config) or new_session_id()
    runs = Runs(found, request, _console(config), session_id)
    config.stash[RUNS] = runs
    config.stash[COLLECTION] = Collection(found.suites_dir, request.lane, stages)
    if not config.option.collectonly:
        _quiet_pytest_output(config)
        _arm(config, runs)


def _request(option: Any) -> Request:
    """Return what is asked for; without `-m`, pytest selects the lane's marker."""
    lane = lane_of(option.markexpr, option.quick)
    option.markexpr = option.markexpr or lane
    return Request(
        ref=option.ref, pr=str(option.pr), src=option.src, lane=lane, keep=bool(option.keep)
    )


def _arm(config: pytest.Config, runs: Runs) -> None:
    """Handle signals, the deadline and Drone's cancel, and guard against suites that tamper."""
    is_worker = workers.session_of(config) is not None
    pass_on = None
    if not is_worker and getattr(config.option, "dist", "no") != "no":
        controller = workers.Controller(config, runs)
        config.pluginmanager.register(controller)
        pass_on = controller.pass_on
    signals.arm(deadline=runs.settings.deadline, pass_on=pass_on)
    suite_guard.guard_exit()
    suite_guard.remember()
    build = cancel_watch.build_url(os.environ)
    if build and not is_worker:
        cancel_watch.watch(build, signals.cancel)


def _quiet_pytest_output(config: pytest.Config) -> None:
    """Turn off pytest's dots, tracebacks and short summary; our own output replaces them."""
    config.option.verbose = min(config.option.verbose, -1)
    config.option.tbstyle = "no"
    config.option.reportchars = ""


def _select_suites(config: pytest.Config, suites: Path) -> bool:
    """Return True if suites are to be run; the generic steps are added to a suite's folder or file."""
    base = config.invocation_params.dir
    paths = [(base / arg.partition("::")[0]).resolve() for arg in config.args]
    inside = [path for path in paths if path == suites or suites in path.parents]
    lifecycle = str(suites / LIFECYCLE)
    if inside and not any(path in (suites, suites / LIFECYCLE) for path in paths):
        names = {path.relative_to(suites).parts[0] for path in inside}
        if not config.option.keyword and not config.option.recipe:
            config.option.keyword = " or ".join(sorted(names))
        config.args.insert(0, lifecycle)
    return bool(inside)


def _console(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that prints one line immediately, past pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    uncaptured = capture.global_and_fixture_disabled if capture else contextlib.nullcontext

    def show(line: str) -> None:
        # If nobody reads the output any more (a runner that died), the suite must not fail by it.
        with contextlib.suppress(OSError), uncaptured():
            print(line, file=_stream(config), flush=True)

    return show


def _stream(config: pytest.Config) -> TextIO:
    """Return the stream to print to; an xdist worker's stdout is its channel to the controller."""
    return sys.stderr if hasattr(config, "workerinput") else sys.stdout


def _split(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to start if Docker, the swarm or the proxy network is missing."""
    config = session.config
    runs = config.stash.get(RUNS, None)
    if runs is None or config.option.collectonly or hasattr(config, "workerinput"):
        return
    try:
        preflight.check_host(runs.settings)
    except CcCiError as error:
        pytest.exit(f"cannot start: {error}", returncode=INFRA_EXIT_CODE)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close the open run; the worst verdict decides the exit code."""
    runs = session.config.stash.get(RUNS, None)
    if runs is None:
        return
    runs.close()
    signals.begin_teardown()  # not ended again: there is nothing left that a signal could stop
    if not hasattr(session.config, "workerinput"):
        code = runs.exit_code()
        if code is not None and int(session.exitstatus) in (0, 1, 2):
            session.exitstatus = code
    suite_guard.finish(int(session.exitstatus))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print each run's summary: stages, level, failures, how to reproduce."""
    runs = config.stash.get(RUNS, None)
    if runs is None:
        return
    for failed in terminalreporter.stats.get("error", ()):
        if isinstance(failed, pytest.CollectReport):
            terminalreporter.write_line(f"cannot read {failed.nodeid}:\n{failed.longreprtext}")
    if config.option.collectonly:
        return
    for text in runs.summaries():
        terminalreporter.write_line("")
        terminalreporter.write_line(text)
