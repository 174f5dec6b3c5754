"""The pytest plugin: its options, and the beginning and the end of a session that tests recipes.

The rest of it: `items` collects, `fixtures` hands out, `cases` runs and records each test, `workers` is
there where `-n` is. Deploying happens in tests, so a broken recipe is a failure; fetching, naming and
waiting for a slot happen in fixtures, so our own trouble is an error. A run is opened by the first of a
recipe's tests and closed after its last one, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from contract.verdicts import INFRA_EXIT_CODE
from harness import plan, settings
from harness.errors import CcCiError
from harness.host import signals
from harness.plugin import cancel_watch, suite_guard, workers
from harness.plugin.session import RUNS, Runs
from harness.plugin.usage import as_usage
from harness.runs import preflight
from harness.runs.run import Request
from harness.suites import collect

# Our own tests treat warnings as errors; a recipe is not judged by them. An engine that is away leaves a
# hundred sockets that its SDK forgot, which blamed the suite.
NO_VERDICT = (
    "ResourceWarning",
    "pytest.PytestUnraisableExceptionWarning",
    "pytest.PytestUnhandledThreadExceptionWarning",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; each has the name of a build parameter as its default's source."""
    group = parser.getgroup("cc-ci", "testing Co-op Cloud recipes")
    env = os.environ.get
    group.addoption("--recipe", default=env("RECIPE", ""), help="test exactly this recipe")
    group.addoption("--ref", default=env("REF", ""), help="full commit sha to test")
    group.addoption("--pr", default=env("PR", "0"), help="number of the pull request, 0 without")
    group.addoption(
        "--src", default=env("SRC", ""), help="owner/name of the repository to fetch from"
    )
    group.addoption("--stages", default=env("STAGES", ""), help="comma list of stages to run")
    group.addoption(
        "--quick",
        action="store_true",
        default=env("CCCI_QUICK", "") == "1",
        help="the quick lane: upgrade only, lower confidence, no level",
    )
    group.addoption("--keep", action="store_true", help="leave the app of a failed run up for 2 h")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; where recipes are tested, prepare for their runs and arm the guard."""
    for stage, meaning in plan.STAGE_MEANING.items():
        config.addinivalue_line("markers", f"{stage}: stage of a recipe's run: {meaning}")
    config.addinivalue_line("markers", "cold: runs in the full lane (the default)")
    config.addinivalue_line("markers", "quick: runs in the quick lane (lower confidence)")
    with as_usage():
        found = settings.load(os.environ)
    if not _widen(config, found.suites_dir):
        return
    for warning in NO_VERDICT:
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    with as_usage():
        collect.enrolled(found.suites_dir)
        preflight.markers(config.option.markexpr)
    runs = Runs(
        found,
        _request(config.option),
        console=_console(config),
        only=_split(config.option.stages),
    )
    runs.session_id = workers.session_of(config) or runs.session_id
    config.stash[RUNS] = runs
    if not config.option.collectonly:
        _leave_the_telling_to_us(config)
        _guard(config, runs)


def _request(option: Any) -> Request:
    """Return what is asked for; where no markers are selected, those of the lane are."""
    lane = collect.lane_of(option.markexpr, option.quick)
    option.markexpr = option.markexpr or lane
    return Request(
        ref=option.ref, pr=str(option.pr), src=option.src, lane=lane, keep=bool(option.keep)
    )


def _guard(config: pytest.Config, runs: Runs) -> None:
    """See to it that the session ends well, whatever ends it, and notice what a suite replaces."""
    is_worker = workers.session_of(config) is not None
    pass_on = None
    if not is_worker and getattr(config.option, "dist", "no") != "no":
        controller = workers.Controller(config, runs)
        config.pluginmanager.register(controller)
        pass_on = controller.pass_on
    signals.arm(deadline=runs.settings.deadline, pass_on=pass_on)
    suite_guard.remember()
    build = cancel_watch.address(os.environ)
    if build and not is_worker:
        cancel_watch.watch(build, signals.cancel)


def _leave_the_telling_to_us(config: pytest.Config) -> None:
    """Silence pytest's own dots, tracebacks and short summary: the live lines and ours say it all."""
    config.option.verbose = min(config.option.verbose, -1)
    config.option.tbstyle = "no"
    config.option.reportchars = ""


def _widen(config: pytest.Config, suites: Path) -> bool:
    """Say whether suites are to be run; a suite's folder or file brings the lifecycle along."""
    base = config.invocation_params.dir
    paths = [(base / arg.partition("::")[0]).resolve() for arg in config.args]
    inside = [path for path in paths if path == suites or suites in path.parents]
    lifecycle = str(suites / collect.LIFECYCLE)
    if inside and not any(path in (suites, suites / collect.LIFECYCLE) for path in paths):
        names = {path.relative_to(suites).parts[0] for path in inside}
        if not config.option.keyword and not config.option.recipe:
            config.option.keyword = " or ".join(sorted(names))
        config.args.insert(0, lifecycle)
    return bool(inside)


def _console(config: pytest.Config) -> Any:
    """Return a function that prints one line at once, past pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        # A reader that went away (a runner that died) must not turn into a failure of the suite.
        with contextlib.suppress(OSError):
            if capture is None:
                print(line, file=_stream(config), flush=True)
                return
            with capture.global_and_fixture_disabled():
                print(line, file=_stream(config), flush=True)

    return show


def _stream(config: pytest.Config) -> Any:
    """Return where lines go: an xdist worker's standard output is its line to the controller."""
    return sys.stderr if hasattr(config, "workerinput") else sys.stdout


def _split(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to start where Docker, the swarm or the proxy network is missing."""
    config = session.config
    runs = config.stash.get(RUNS, None)
    if runs is None or config.option.collectonly or hasattr(config, "workerinput"):
        return
    try:
        preflight.host(runs.settings)
    except CcCiError as error:
        pytest.exit(f"cannot start: {error}", returncode=INFRA_EXIT_CODE)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close what is open; the worst verdict decides the exit status."""
    runs = session.config.stash.get(RUNS, None)
    if runs is None:
        return
    runs.close()
    signals.begin_teardown()  # for good: nothing runs any more that a signal could end
    if not hasattr(session.config, "workerinput"):
        status = runs.status()
        if status is not None and int(session.exitstatus) in (0, 1, 2):
            session.exitstatus = status
    signals.set_exit_code(int(session.exitstatus))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print each run's summary: stages, level, what failed and why, how to repeat it."""
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
