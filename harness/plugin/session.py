"""The runs of one pytest session: opens and closes them, records their cases, knows the exit code."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from contract import run_files
from contract.verdicts import Verdict
from harness.errors import UsageError
from harness.host import signals
from harness.plugin import suite_guard
from harness.plugin.dependencies import Dependencies
from harness.plugin.items import ItemStep
from harness.reporting import report, run_dir, terminal
from harness.runs import fault
from harness.runs.record import Request, RunPlan, RunRecord
from harness.runs.run import Run, open_run
from harness.settings import Settings
from harness.suites.outcome import NOT_APPLICABLE, NOT_RUN, Outcome
from harness.swarm import route

WORST_LAST = (
    *(Verdict.PASSED, Verdict.CANCELLED, Verdict.INTERRUPTED, Verdict.INFRA),
    *(Verdict.TIMEOUT, Verdict.SUITE, Verdict.RECIPE),
)


def new_session_id() -> str:
    """Return the id of the pytest session: the number of the Drone build, or one that is unique locally."""
    local = f"local-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    return os.environ.get("DRONE_BUILD_NUMBER") or local


@dataclass
class Runs:
    """The runs of a session; in an xdist worker the runs of that worker.

    Attributes:
        plans: what each recipe's run will do; empty until pytest has collected.
        recipes_of_workers: in a session with workers, the recipes that they collected.
        record: the record of the run that is open, None between runs.
        run: the run that is open, None if there is none or it could not be fetched.
        dependencies: which steps have passed.
    """

    settings: Settings
    request: Request
    console: Callable[[str], None]
    session_id: str
    plans: dict[str, RunPlan] = field(default_factory=dict)
    recipes_of_workers: frozenset[str] = frozenset()
    record: RunRecord | None = None
    run: Run | None = None
    dependencies: Dependencies = field(default_factory=Dependencies)
    _open_errors: dict[str, BaseException] = field(default_factory=dict)
    _never_began: set[str] = field(default_factory=set)
    _reports: dict[str, report.Report] = field(default_factory=dict)

    # %% Opening and closing

    def open_run(self, recipe: str) -> Run:
        """Return the run of a recipe, which is opened first if it is not open.

        Raises:
            BaseException: what stopped the opening; the same again for all later tests of the recipe.
        """
        if recipe in self._open_errors:
            raise self._open_errors[recipe]
        if self.run is not None and self.run.recipe == recipe:
            return self.run
        self.close()
        try:
            self.run = open_run(self._begin(self.plans[recipe]))
        except BaseException as error:
            self._open_errors[recipe] = error
            if self.record is None:
                self._never_began.add(recipe)
                self.console(f"{recipe}: {error}")  # there is no report that could contain it
            raise
        return self.run

    def _begin(self, plan: RunPlan) -> RunRecord:
        with signals.deferred():  # a record that has begun and is not known here is never closed
            self.record = RunRecord.begin(
                self.settings, self.request, plan, self.run_id(plan.recipe), self.console
            )
            return self.record

    def run_id(self, recipe: str) -> str:
        """Return the id of a recipe's run: the session's own id if it has only one recipe."""
        return self.session_id if len(self.plans) == 1 else f"{self.session_id}-{recipe}"

    def close(self) -> None:
        """Close the run that is open, if any."""
        if self.record is not None:
            self.record.close()
            self._reports[self.record.id] = self.record.recorder.report()
            self.record = self.run = None

    # %% Cases

    def skip_reason(self, item_step: ItemStep) -> str | None:
        """Return why a step is not run, None if it is: not applicable, or a needed step did not pass."""
        recipe, step = item_step.recipe, item_step.step
        if recipe in self._open_errors:
            first = str(self._open_errors[recipe]).partition("\n")[0]
            return f"{NOT_RUN}{first}"
        declared = self.plans[recipe].suite_settings.not_applicable.get(step.stage)
        if declared:
            return f"{NOT_APPLICABLE}{declared}"
        if self._keeps_failed_app:
            if self._would_tear_down(item_step):
                return f"{NOT_RUN}the app of the failed life is kept"
            if item_step.is_control:
                return f"{NOT_RUN}the app is kept, so it is not stopped"
        return self.dependencies.skip_reason(item_step, self.request.lane)

    @property
    def _keeps_failed_app(self) -> bool:
        return self.request.keep and self.record is not None and self.record.recorder.failed

    def _would_tear_down(self, item_step: ItemStep) -> bool:
        """Return True if a step would tear down the app that `--keep` leaves up."""
        apps = self.record.apps if self.record else None
        if apps is None or not apps.by_life:
            return False
        return item_step.step.life(self.request.lane) != apps.current

    def record_case(
        self, item: pytest.Item, item_step: ItemStep, outcome: Outcome, seconds: float
    ) -> None:
        """Record one case as an event, print it, and remember its outcome for later steps."""
        outcome = suite_guard.checked(outcome)
        if self.record is not None:
            outcome = fault.reconsider(self.record, outcome)
        title = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
        self.dependencies.record(item_step, title, outcome)
        if self.record is not None:
            self.record.recorder.case(item.name, item_step.step, outcome, seconds=seconds)

    def record_session_exit(self, item: pytest.Item, item_step: ItemStep, why: str) -> None:
        """Record that a suite's code ended the session."""
        if self.record is not None:
            outcome = Outcome("fail", "suite", why)
            self.record.recorder.case(item.name, item_step.step, outcome, seconds=0.0)

    def scrub(self, text: str) -> str:
        """Return a text with the secrets of the open run masked."""
        return self.record.recorder.scrub(text) if self.record else text

    # %% Negative controls

    def stop_app(self, item_step: ItemStep) -> None:
        """Stop the app for a negative control, once."""
        run = self.open_run(item_step.recipe)
        run.apps.stop(run.enter(item_step.step.life(self.request.lane)))

    def wait_until_unrouted(self, item_step: ItemStep) -> None:
        """Wait until the proxy has noticed that the stopped app does not run."""
        run = self.open_run(item_step.recipe)
        app = run.enter(item_step.step.life(self.request.lane))
        route.wait_until_forgotten(self.settings, app.domain)

    def record_control(
        self, item: pytest.Item, item_step: ItemStep, outcome: Outcome, seconds: float
    ) -> bool:
        """Record a negative control.

        Returns:
            False if it passed against the stopped app, so that its check or test proves nothing.
        """
        record = self.record
        if record is None:
            return False
        outcome = suite_guard.checked(outcome)
        stopped = any(app.stopped for app in record.apps.by_life.values())
        if outcome.kind in ("skip", "unverified") and not stopped:
            kind = "skip" if outcome.structural else "unverified"
        elif not stopped:
            record.recorder.case(item.name, item_step.step, outcome, seconds=seconds)
            kind = "unverified"
        else:
            kind = "superficial" if outcome.kind == "pass" else "held"
        why, life = outcome.message or "", record.apps.current
        record.recorder.control(item.name, item_step.step, kind, why, life=life, seconds=seconds)
        return kind != "superficial"

    # %% The end of the session

    @property
    def recipes(self) -> frozenset[str]:
        """The recipes that the session is to test."""
        return frozenset(self.plans) or self.recipes_of_workers

    def reports(self) -> list[report.Report]:
        """Return the reports of all runs that began.

        Those of xdist workers are read from their directories. Those of this process are kept here, since
        they also contain events that could not be written.
        """
        runs_dir = self.settings.runs_dir
        folders = [runs_dir / self.session_id, *sorted(runs_dir.glob(f"{self.session_id}-*"))]
        found = dict(self._reports)
        never_began = {self.run_id(recipe) for recipe in self._never_began}
        for folder in (folder for folder in folders if folder.name not in never_began):
            with contextlib.suppress(OSError):  # a disk that failed during our own run
                if folder.name not in found and (folder / run_files.EVENTS).exists():
                    found[folder.name] = run_dir.read(folder)
        return list(found.values())

    def exit_code(self) -> int | None:
        """Return the session's exit code by its worst verdict, None if nothing ran."""
        if any(isinstance(error, UsageError) for error in self._open_errors.values()):
            return int(pytest.ExitCode.USAGE_ERROR)
        reports = self.reports()
        verdicts = [found.verdict for found in reports]
        verdicts += [Verdict.INFRA for _ in self._never_began]
        if verdicts and self.recipes - {found.recipe for found in reports} - set(self._open_errors):
            verdicts.append(Verdict.INTERRUPTED)  # a planned run that never began is never green
        return max(verdicts, key=WORST_LAST.index).exit_code if verdicts else None

    def summaries(self) -> list[str]:
        """Return the terminal summary of each run."""
        return [
            terminal.summary(found, self.settings.runs_dir / found.run) for found in self.reports()
        ]


RUNS: pytest.StashKey[Runs] = pytest.StashKey()  # only in sessions that test recipes
