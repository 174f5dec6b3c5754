"""The pytest plugin: options, markers, fixtures, and one run per recipe.

Deploying happens in tests, so a broken recipe is a failure; fetching, naming and waiting for a slot
happen in fixtures, so our own trouble is an error. A run is opened by the first of a recipe's tests
and closed after its last one, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from harness import collect, intact, lifetime, own_build, plan, preflight, settings
from harness.abra import Abra
from harness.app import App
from harness.collect import PLACE, Place, Suite
from harness.errors import CcCiError, UsageError
from harness.level import SUPERFICIAL
from harness.outcome import Declared, Outcome, outcome_of
from harness.run import Request, Run
from harness.runs import Runs

RUNS: pytest.StashKey[Runs] = pytest.StashKey()
INFRA_STATUS = 16
# Our own tests treat warnings as errors; a recipe is not judged by them. An engine that is away leaves a
# hundred sockets that its SDK forgot, which blamed the suite.
NO_VERDICT = (
    "ResourceWarning",
    "pytest.PytestUnraisableExceptionWarning",
    "pytest.PytestUnhandledThreadExceptionWarning",
)
CONTROL_TIMEOUT = 3.0  # seconds for one negative control
SOON = 0.5  # seconds; what fails later than that did not fail at once for want of the app


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
    """Register the markers; arm the guard where recipes are tested."""
    for stage, meaning in plan.STAGE_MEANING.items():
        config.addinivalue_line("markers", f"{stage}: stage of a recipe's run: {meaning}")
    config.addinivalue_line("markers", "cold: runs in the full lane (the default)")
    config.addinivalue_line("markers", "quick: runs in the quick lane (lower confidence)")
    with _AsUsage():
        found = settings.load(os.environ)
    suites = found.suites_dir
    if not _widen(config, suites):
        return
    for warning in NO_VERDICT:
        config.addinivalue_line("filterwarnings", f"ignore::{warning}")
    with _AsUsage():
        collect.enrolled(suites)
        preflight.markers(config.option.markexpr)
    option = config.option
    lane = collect.lane_of(option.markexpr, option.quick)
    if option.quick and not option.markexpr:
        option.markexpr = "quick"
    elif lane == "cold" and not option.markexpr:
        option.markexpr = "cold"
    request = Request(
        ref=option.ref, pr=str(option.pr), src=option.src, lane=lane, keep=bool(option.keep)
    )
    runs = Runs(found, request, console=_console(config), only=_split(option.stages))
    config.stash[RUNS] = runs
    workerinput = getattr(config, "workerinput", None)
    runs.session_id = workerinput["ccci_session"] if workerinput else runs.session_id
    if not config.option.collectonly:
        _leave_the_telling_to_us(config)
        controls = not workerinput and getattr(option, "dist", "no") != "no"
        lifetime.arm(deadline=found.deadline, pass_on=_pass_on(config) if controls else None)
        intact.remember()
        build = own_build.address(os.environ)
        if build and not workerinput:
            own_build.watch(build, lifetime.cancel)


def _pass_on(config: pytest.Config) -> Callable[[signal.Signals, str], None]:
    """Return what hands a signal on to the workers; the session ends when they are done."""

    def pass_on(sign: signal.Signals, reason: str) -> None:
        workers = config.stash[RUNS].workers
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if not workers:
            raise lifetime.Interrupted(reason)
        _stop_if_told(config)

    return pass_on


def _stop_if_told(config: pytest.Config) -> None:
    """Let a controller whose session was told to end give out no more work, and replace no worker."""
    session = config.pluginmanager.getplugin("dsession")
    if session is not None and lifetime.why():
        session.shouldstop = lifetime.why()
        session._max_worker_restart = 0  # noqa: SLF001 - it would start one, only to end it


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


class _AsUsage:
    """Turns our usage errors into pytest's: one sentence, exit 4, nothing deployed."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UsageError):
            raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which session its runs belong to, and remember its process."""
    runs = node.config.stash.get(RUNS, None)
    node.workerinput["ccci_session"] = runs.session_id if runs else ""
    if runs is not None:
        runs.workers.append(_pid_of(node))


def _pid_of(node: Any) -> int:
    return int(node.gateway._rinfo().pid)  # noqa: SLF001 - execnet has no public name for it


@pytest.hookimpl(optionalhook=True)
def pytest_testnodeready(node: Any) -> None:
    """Give no work to a worker that comes up after the session was told to end."""
    _stop_if_told(node.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Learn from a worker what is to be tested: what never began must not look green."""
    runs = node.config.stash.get(RUNS, None)
    if runs is not None:
        runs.collected = list(ids)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Clear at once what a worker that died has left; it cannot do so itself."""
    runs = node.config.stash.get(RUNS, None)
    if runs is None:
        return
    with contextlib.suppress(ValueError):
        runs.workers.remove(_pid_of(node))
    if error:
        try:
            runs.sweep()
        except CcCiError as trouble:
            runs.console(f"what worker {node.gateway.id} left is not cleared yet: {trouble}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each recipe on one worker, in stage order (loadgroup does not, with newer pytest)."""
    runs = config.stash.get(RUNS, None)
    if runs is None:
        return None
    from harness.scheduling import make

    return make(config, log)


# %% Collection


def pytest_pycollect_makeitem(collector: Any, name: str, obj: object) -> Any:
    """Make the items of checks; seeds and wrecks are remembered, not run as tests."""
    from harness import suite

    runs: Runs | None = collector.config.stash.get(RUNS, None)
    role = suite.role_of(obj)
    if runs is None or role is None or not callable(obj):
        return None
    suites = runs.settings.suites_dir
    if collect.is_lifecycle(collector.path, suites):
        with _AsUsage():
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
    with _AsUsage():
        names = collect.enrolled(runs.settings.suites_dir)
    metafunc.fixturenames.append("recipe_name")
    metafunc.parametrize("recipe_name", names, ids=names, scope="function")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give every item its place and its markers, before pytest selects by them."""
    runs = config.stash.get(RUNS, None)
    if runs is None:
        return
    with _AsUsage():
        runs.refuse_hooks(config)
        runs.place(items)
        preflight.asked(runs.settings, config.option.recipe, runs.request.ref, runs.only)
        recipe = config.option.recipe
        if recipe:
            gone = [item for item in items if item.stash[PLACE].recipe != recipe]
            items[:] = [item for item in items if item.stash[PLACE].recipe == recipe]
            config.hook.pytest_deselected(items=gone)
    runs.remember(items)


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def pytest_order_collected(config: pytest.Config, items: list[pytest.Item]) -> None:
    """After pytest's own selection: add what is needed, order by recipe and step."""
    runs = config.stash.get(RUNS, None)
    if runs is not None:
        with _AsUsage():
            gone = runs.select(items)
        counted = config.pluginmanager.getplugin("terminalreporter")
        if counted is not None:
            counted.stats.pop("deselected", None)
            config.hook.pytest_deselected(items=gone)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to start where Docker, the swarm or the proxy network is missing."""
    config = session.config
    runs = config.stash.get(RUNS, None)
    if runs is None or config.option.collectonly or hasattr(config, "workerinput"):
        return
    try:
        preflight.host(runs.settings)
    except CcCiError as error:
        pytest.exit(f"cannot start: {error}", returncode=INFRA_STATUS)


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


# %% Fixtures


@pytest.fixture
def recipe_name(request: pytest.FixtureRequest) -> str:
    """The name of the recipe under test."""
    place: Place = request.node.stash[PLACE]
    return place.recipe


@pytest.fixture
def run(request: pytest.FixtureRequest, recipe_name: str) -> Run:
    """The run of this recipe: holds its slot, its lock and its checkout."""
    opened = request.config.stash[RUNS].opened(recipe_name)
    place: Place = request.node.stash[PLACE]
    if not place.is_control:
        opened.telling.begin(place.step.stage, place.step.life(opened.request.lane))
    return opened


@pytest.fixture
def recipe(run: Run) -> Path:
    """The locked checkout of the recipe; nobody else moves it."""
    return run.checkout_dir


@pytest.fixture
def abra(run: Run) -> Abra:
    """abra, with this run's own data directory."""
    return run.abra


@pytest.fixture
def app(request: pytest.FixtureRequest, run: Run) -> App:
    """The app of the present life: registered, and deployed once its install test has passed."""
    place: Place = request.node.stash[PLACE]
    return run.lives.enter(place.step.life(run.request.lane))


@pytest.fixture
def app_domain(app: App) -> str:
    """The registered domain of the app."""
    return app.domain


# %% Running


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
    with lifetime.bounded(CONTROL_TIMEOUT, item.name):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Give a negative control a short time: against a stopped app there is nothing to wait for."""
    place = item.stash.get(PLACE, None)
    if place is None or not place.is_control:
        return (yield)
    start = time.monotonic()
    try:
        with lifetime.bounded(CONTROL_TIMEOUT, item.name):
            return (yield)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException:
        if time.monotonic() - start < SOON:
            raise
    # It hung on the proxy, which still tried what does not run any more: soon it answers itself.
    item.config.stash[RUNS].wait_forgotten(place)
    with lifetime.bounded(CONTROL_TIMEOUT, item.name):
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
            report.longrepr = item.config.stash[RUNS].scrub(str(error))
        elif report.failed:
            report.longrepr = item.config.stash[RUNS].scrub(str(report.longrepr))
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


# %% The end


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Close what is open; the worst verdict decides the exit status."""
    runs = session.config.stash.get(RUNS, None)
    if runs is None:
        return
    runs.close()
    lifetime.begin_teardown()  # for good: nothing runs any more that a signal could end
    if not hasattr(session.config, "workerinput"):
        status = runs.status()
        if status is not None and int(session.exitstatus) in (0, 1, 2):
            session.exitstatus = status
    lifetime.leave_with(int(session.exitstatus))


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
