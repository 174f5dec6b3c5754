"""One run's record: its directory, registry entry, recorder and apps, from its beginning to its end.

It is opened before anything else of a run and closed after everything else, so that a run which fails
while it is fetched still leaves a report.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from contract import run_files
from harness.errors import InfraError
from harness.host import orphans, resources, signals
from harness.plan import Lane
from harness.reporting import run_dir, secret_scan
from harness.runs import janitor, registry
from harness.runs.apps import Apps
from harness.runs.recorder import Recorder
from harness.settings import Settings
from harness.suites.suite import Suite
from harness.suites.suite_settings import SuiteSettings
from harness.suites.trusted import Trust
from harness.swarm import engine


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for.

    Attributes:
        ref: full commit sha; "" means the head of the default branch.
        pr: number of the pull request, "0" without one.
        src: "owner/name" of the repository to fetch from, "" for the recipe's own.
        lane: which lane to run.
        keep: leave the app of a failed run up.
    """

    ref: str = ""
    pr: str = "0"
    src: str = ""
    lane: Lane = "cold"
    keep: bool = False


@dataclass(frozen=True)
class RunPlan:
    """What one run will do.

    Attributes:
        stages: the stages that have at least one case, in order.
        cases: the names of all planned tests, negative controls included.
        trust: how far the recipe's own tests are trusted, None if they may not run.
    """

    recipe: str
    suite: Suite = field(default_factory=Suite)
    suite_settings: SuiteSettings = field(default_factory=SuiteSettings)
    stages: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    trust: Trust | None = None


@dataclass
class RunRecord:
    """What a run holds: directory, registry entry, recorder, apps, and later slot and recipe lock.

    Attributes:
        locks: a slot of the host and the recipe's lock; released after the reports are written.
        oom_kills: the host's counter of out-of-memory kills when the run began.
    """

    settings: Settings
    request: Request
    plan: RunPlan
    id: str
    dir: Path
    entry: registry.Entry
    recorder: Recorder
    apps: Apps
    locks: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    oom_kills: int = field(default_factory=resources.oom_kills)
    _closed: bool = False

    @classmethod
    def begin(
        cls,
        settings: Settings,
        request: Request,
        plan: RunPlan,
        run_id: str,
        console: Callable[[str], None],
    ) -> RunRecord:
        """Make the run's directory, its registry entry and its file of events.

        What a dead run with the same id left behind is removed first.

        Args:
            settings: the session's settings.
            request: what was asked for.
            plan: what the run will do.
            run_id: the run's id, which also names its directory.
            console: prints one line immediately.

        Raises:
            InfraError: the directory cannot be written, or a run with this id is still running.
        """
        folder = settings.runs_dir / run_id
        if (folder / registry.RUN_ENTRY).exists():
            sweep(settings, run_id, console)
        entry = _claim(folder, run_id, plan.recipe)
        recorder = Recorder(folder, recipe=plan.recipe, lane=request.lane, console=console)
        apps = Apps(settings, run_id, folder, plan.recipe, recorder)
        return cls(settings, request, plan, run_id, folder, entry, recorder, apps)

    @property
    def recipe(self) -> str:
        """The name of the recipe under test."""
        return self.plan.recipe

    @property
    def abra_dir(self) -> Path:
        """The run's own data directory for abra."""
        return self.dir / run_files.ABRA

    @property
    def checkout_dir(self) -> Path:
        """The run's own checkout of the recipe."""
        return self.abra_dir / "recipes" / self.recipe

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    # %% Closing

    def close(self) -> None:
        """Tear down what is still deployed, write the reports, release lock and slot.

        Signals that arrive meanwhile take effect afterwards. A second call does nothing.

        Raises:
            Interrupted: a signal arrived during the teardown.
        """
        signals.begin_teardown()
        try:
            if not self._closed:
                self._closed = True
                self._close()
        finally:
            signals.end_teardown()

    def _close(self) -> None:
        try:
            self._teardown(signals.reason())
        finally:
            self.apps.release_entries()
            self.entry.close()
            self.locks.close()
            self.recorder.close()

    def _teardown(self, why: str) -> None:
        """Remove what the run made and write its reports.

        Args:
            why: the reason the run was stopped for, "" if it was not stopped.
        """
        for process in orphans.terminate(self.dir, self.apps.domains) if why else ():
            self.recorder.note(f"{process} of this run does not exit")
        self._tear_down_apps()
        self.recorder.restore_events()
        self._scan_for_secrets()
        self.recorder.finish(why)
        secret_scan.scan(self.dir, self.recorder.redactor, names=run_files.REPORTS)
        if self.apps.all_gone:
            registry.forget(self.settings, self.entry)

    def _tear_down_apps(self) -> None:
        apps = self.apps
        if self.request.keep and self.recorder.failed and apps.by_life and not signals.reason():
            apps.keep()
            return
        apps.tear_down_all()
        if not apps.domains:
            self._clean_directory()

    def _clean_directory(self) -> None:
        """Remove abra's directory: its env files hold versions of secrets, and the checkout is large."""
        for folder in (self.abra_dir, self.dir / registry.APPS):
            shutil.rmtree(folder, ignore_errors=True)

    def _scan_for_secrets(self) -> None:
        """Write the reports as they will be, then search everything that is kept for secrets."""
        self.recorder.write_reports()
        with self.recorder.phase("scan"):
            try:
                found = [str(item) for item in secret_scan.scan(self.dir, self.recorder.redactor)]
            except OSError as error:
                found = [f"'{self.dir}' (could not be searched: {error.strerror})"]
        self.recorder.record("scan", clean=not (found or self.recorder.leaked), files=found)


def sweep(settings: Settings, run_id: str, progress: Callable[[str], None]) -> None:
    """Remove what dead runs left behind, and write their reports.

    Args:
        settings: the session's settings.
        run_id: the id of the run or session that sweeps.
        progress: prints one line.
    """
    janitor.sweep(
        settings, engine.client(), own_run=run_id, progress=progress, finish=run_dir.finish_dead
    )


def _claim(folder: Path, run_id: str, recipe: str) -> registry.Entry:
    """Make a run's directory and its registry entry.

    Raises:
        InfraError: the directory cannot be written, or a run with this id is still running.
    """
    if not registry.is_free(folder):
        raise InfraError(f"run '{run_id}' is still running; give this one another id")
    try:
        _set_aside(folder)
        folder.mkdir(parents=True, exist_ok=True)
        return registry.begin(folder, run=run_id, recipe=recipe)
    except OSError as error:
        raise InfraError(f"cannot create '{folder}': {error.strerror}") from error


def _set_aside(folder: Path) -> None:
    """Rename the directory of an earlier run with the same id.

    A Drone server that lost its database counts its builds from 1 again.
    """
    if not (folder / run_files.EVENTS).exists():
        return
    free = next(
        n for n in itertools.count(1) if not folder.with_name(f"{folder.name}.{n}").exists()
    )
    folder.rename(folder.with_name(f"{folder.name}.{free}"))
