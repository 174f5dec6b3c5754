"""All runs of one pytest session: places its items, opens and closes runs, keeps their verdicts."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contract import run_files
from contract.verdicts import Verdict
from harness import plan
from harness.errors import UsageError
from harness.host import signals
from harness.plugin import suite_guard
from harness.plugin.scheduling import scope_of
from harness.reporting import report, run_dir, terminal
from harness.runs import fault
from harness.runs.run import Request, Run
from harness.settings import Settings
from harness.suites import collect, suite_settings, trusted
from harness.suites.collect import PLACE, Place, Suite
from harness.suites.outcome import NOT_APPLICABLE, NOT_RUN, Outcome
from harness.suites.trusted import Trust
from harness.swarm import route

RUNS: pytest.StashKey[Runs] = pytest.StashKey()  # there only where recipes are tested


@dataclass
class Runs:
    """What a session knows of its runs. In an xdist worker: of the runs of that worker."""

    settings: Settings
    request: Request
    console: Callable[[str], None]
    only: frozenset[str] = frozenset()
    session_id: str = field(
        default_factory=lambda: (
            os.environ.get("DRONE_BUILD_NUMBER")
            or f"local-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        )
    )
    suites: dict[str, Suite] = field(default_factory=dict)
    planned: dict[str, list[pytest.Item]] = field(default_factory=dict)
    trust: Mapping[str, Trust] = field(default_factory=dict)
    collected: list[str] = field(default_factory=list)
    current: Run | None = None
    _collected: list[pytest.Item] = field(default_factory=list)
    _all: list[pytest.Item] = field(default_factory=list)
    _passed: set[str] = field(default_factory=set)
    _reasons: dict[str, str] = field(default_factory=dict)
    _inapplicable: dict[str, str] = field(default_factory=dict)
    _open_error: dict[str, BaseException] = field(default_factory=dict)
    _never_began: set[str] = field(default_factory=set)
    _told: dict[str, report.Report] = field(default_factory=dict)

    # -- collection

    def place(self, items: list[pytest.Item]) -> None:
        """Give every item its recipe, step and markers; refuse what a suite may not contain."""
        self._collected = list(items)
        suites = self.settings.suites_dir
        self.trust = trusted.load(suites, collect.enrolled(suites))
        for item in items:
            if PLACE not in item.stash:
                item.stash[PLACE] = self._placed(item, suites)
            if isinstance(item, pytest.Function) and not collect.is_lifecycle(item.path, suites):
                collect.refuse_empty(item)
        for recipe, found in self.suites.items():
            collect.refuse_unpaired(recipe, found)
        items[:] = [item for item in items if not self._superfluous(item)]
        for item in items:
            place = item.stash[PLACE]
            for name in (place.step.stage, *self._lanes(place)):
                if name not in {mark.name for mark in item.iter_markers()}:
                    item.add_marker(name)

    def _placed(self, item: pytest.Item, suites: Path) -> Place:
        if collect.is_lifecycle(item.path, suites) and isinstance(item, pytest.Function):
            return Place(str(item.callspec.params["recipe_name"]), plan.GENERIC[item.originalname])
        recipe = collect.recipe_of(item.path, suites)
        if recipe is None:
            raise UsageError(
                f"{item.nodeid} is no part of '{suites}'; run recipes and other tests separately"
            )
        step = plan.TESTS[collect.stage_of(item)]
        self.suites.setdefault(recipe, Suite()).tests += 1
        return Place(recipe, step)

    def _superfluous(self, item: pytest.Item) -> bool:
        """Say whether a generic step has no place here.

        The witness, where the suite has checks of its own; a recipe's own tests, without trust.
        """
        if not collect.is_lifecycle(item.path, self.settings.suites_dir):
            return False
        place = item.stash[PLACE]
        if place.step.stage == "recipe_tests" and place.recipe not in self.trust:
            return True
        has_own = bool(self.suites.get(place.recipe, Suite()).checks)
        return place.step.name in plan.CHECKS and has_own

    @staticmethod
    def _lanes(place: Place) -> list[str]:
        lanes: tuple[plan.Lane, ...] = ("cold", "quick")
        return [lane for lane in lanes if place.step.position(lane) is not None]

    def remember(self, items: list[pytest.Item]) -> None:
        """Keep all items, to bring back what the selected ones need."""
        self._all = list(items)

    def select(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Apply the stages asked for, add what is needed, order by recipe and step.

        Returns the items that are not run.
        """
        lane = self.request.lane
        chosen = [i for i in items if i.stash[PLACE].step.position(lane) is not None]
        if self.only:
            chosen = [i for i in chosen if i.stash[PLACE].step.stage in self.only]
        chosen_ids = {id(item) for item in chosen}
        recipes = {item.stash[PLACE].recipe for item in chosen}
        for recipe in recipes:
            steps = [i.stash[PLACE].step for i in chosen if i.stash[PLACE].recipe == recipe]
            wanted = plan.closure(steps, lane) | {"test_leave_no_trace"}
            for item in self._all:
                place = item.stash[PLACE]
                if place.recipe == recipe and place.step.name in wanted:
                    chosen_ids.add(id(item))
        items[:] = sorted(
            (i for i in self._all if id(i) in chosen_ids), key=lambda i: collect.order(i, lane)
        )
        gone = [item for item in self._collected if id(item) not in chosen_ids]
        self.planned = {}
        for item in items:
            self.planned.setdefault(item.stash[PLACE].recipe, []).append(item)
        self._load_settings()
        return gone

    def _load_settings(self) -> None:
        """Read every selected recipe's settings now, so that a misspelt key stops the session."""
        folder = self.settings.suites_dir
        self.recipe_settings = {
            recipe: suite_settings.load(folder / recipe / "recipe.yml") for recipe in self.planned
        }

    # -- running

    def opened(self, recipe: str) -> Run:
        """Return the run of a recipe, opening it first; what stops the opening stops all its tests."""
        if self.current is not None and self.current.recipe == recipe:
            return self.current
        self.close()
        if recipe in self._open_error:
            raise self._open_error[recipe]
        items = [(item.name, item.stash[PLACE]) for item in self.planned[recipe]]
        planned = {place.step.stage for _, place in items if not place.is_control}
        run = Run(
            settings=self.settings,
            request=self.request,
            recipe=recipe,
            id=self.run_id(recipe),
            suite=self.suites.get(recipe, Suite()),
            suite_settings=self.recipe_settings[recipe],
            stages=tuple(stage for stage in plan.STAGES if stage in planned),
            planned=tuple(name for name, _ in items),
            console=self.console,
            trust=self.trust.get(recipe),
        )
        try:
            with signals.deferred():  # a run that has begun and is not known would not be closed
                run.start_record()
                self.current = run
            run.open()
        except BaseException as error:
            self._open_error[recipe] = error
            if self.current is not run:
                self._never_began.add(recipe)
                self.console(f"{recipe}: {error}")  # there is no run whose report could say it
            raise
        return run

    def run_id(self, recipe: str) -> str:
        """Return the id of a recipe's run: the session's own where there is only one recipe."""
        return self.session_id if len(self.planned) == 1 else f"{self.session_id}-{recipe}"

    def unmet(self, place: Place) -> str | None:
        """Return why a step is not tried, or None: its stage cannot apply, or a need did not pass."""
        if place.recipe in self._open_error:
            first = str(self._open_error[place.recipe]).partition("\n")[0]
            return f"{NOT_RUN}{first}"
        declared = self.recipe_settings[place.recipe].not_applicable.get(place.step.stage)
        if declared:
            return f"{NOT_APPLICABLE}{declared}"
        if self._keeps_another(place):
            return f"{NOT_RUN}the app of the failed life is kept"
        if place.is_control and self.request.keep and self.current and self.current.recorder.failed:
            return f"{NOT_RUN}the app is kept, so it is not stopped"
        no_head = self._reasons.get(f"{place.recipe}:test_install")
        if no_head and place.step.life(self.request.lane) == "upgrade":
            return f"{NOT_RUN}{no_head}"
        for name in plan.needed(place.step, self.request.lane):
            key = f"{place.recipe}:{name}"
            if key in self._inapplicable:
                return f"{NOT_APPLICABLE}{self._inapplicable[key]}"
            if key not in self._passed:
                missing = f"{name.removeprefix('test_').replace('_', ' ')} did not run"
                return f"{NOT_RUN}{self._reasons.get(key, missing)}"
        return None

    def _keeps_another(self, place: Place) -> bool:
        """Say whether a step would tear down the app that `--keep` is to leave up."""
        run = self.current
        if run is None or not (self.request.keep and run.recorder.failed and run.apps.by_life):
            return False
        return place.step.life(self.request.lane) != run.apps.current

    def record(
        self, item: pytest.Item, place: Place, outcome: Outcome, seen: pytest.TestReport
    ) -> None:
        """Write one case as an event, print it, and remember what later steps build on."""
        outcome = self._honest(outcome)
        if self.current is not None:
            outcome = fault.reconsider(self.current, outcome)
        key = f"{place.recipe}:{place.step.name}"
        if outcome.kind == "pass":
            self._passed.add(key)
        else:
            self._passed.discard(key)
            if outcome.structural:
                self._inapplicable[key] = outcome.message or ""
            what = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
            message = outcome.message or ""
            root = message if outcome.kind == "unverified" else f"{what} failed: {message}"
            self._reasons[key] = root[:300]
        run = self.current
        if run is not None:
            run.recorder.case(item.name, place, outcome, seconds=seen.duration)

    @staticmethod
    def _honest(outcome: Outcome) -> Outcome:
        """Return the outcome, or what must be said instead where the harness is not itself any more."""
        changed = suite_guard.replaced()
        if not changed:
            return outcome
        names = ", ".join(changed[:3])
        return Outcome("fail", "suite", f"the suite replaced a part of the harness: {names}")

    def blame(self, item: pytest.Item, why: str) -> None:
        """Record that a suite's code ended the session."""
        run = self.current
        if run is not None:
            run.recorder.case(
                item.name, item.stash[PLACE], Outcome("fail", "suite", why), seconds=0.0
            )

    def stop_app(self, place: Place) -> None:
        """Stop the app for a negative control, once."""
        run = self.opened(place.recipe)
        run.apps.stop(run.apps.enter(place.step.life(self.request.lane)))

    def wait_forgotten(self, place: Place) -> None:
        """Wait until the proxy knows that the app of a negative control does not run."""
        app = self.opened(place.recipe).apps.enter(place.step.life(self.request.lane))
        route.wait_until_forgotten(self.settings, app.domain)

    def record_control(
        self, item: pytest.Item, place: Place, outcome: Outcome, seconds: float
    ) -> bool:
        """Record a negative control; return whether it held: what cannot fail must not count."""
        run = self.current
        if run is None:
            return False
        outcome = self._honest(outcome)
        stopped = any(app.stopped for app in run.apps.by_life.values())
        if outcome.kind in ("skip", "unverified") and not stopped:
            kind = "skip" if outcome.structural else "unverified"
        elif not stopped:
            run.recorder.case(item.name, place, outcome, seconds=seconds)
            kind = "unverified"
        else:
            kind = "superficial" if outcome.kind == "pass" else "held"
        why, life = outcome.message or "", run.apps.current
        run.recorder.control(item.name, place, kind, why, life=life, seconds=seconds)
        return kind != "superficial"

    def scrub(self, text: str) -> str:
        """Mask the present run's secrets in a text."""
        return self.current.recorder.scrub(text) if self.current else text

    def close(self) -> None:
        """Close the run that is open, if any."""
        if self.current is not None:
            self.current.close()
            self._told[self.current.id] = self.current.recorder.report()
            self.current = None

    # -- the end

    @property
    def expected(self) -> frozenset[str]:
        """The recipes that are to be tested here; a controller hears of them from its workers."""
        return frozenset(self.planned) or frozenset(map(scope_of, self.collected))

    def reports(self) -> list[report.Report]:
        """Return the reports of all planned runs that began.

        Those of other workers are read from their directories; our own know what no disk took.
        """
        runs = self.settings.runs_dir
        folders = [runs / self.session_id, *sorted(runs.glob(f"{self.session_id}-*"))]
        found = dict(self._told)
        others = {self.run_id(recipe) for recipe in self._never_began}
        for folder in (folder for folder in folders if folder.name not in others):
            with contextlib.suppress(OSError):  # a disk that died under our own run
                if folder.name not in found and (folder / run_files.EVENTS).exists():
                    found[folder.name] = run_dir.read(folder)
        return list(found.values())

    def status(self) -> int | None:
        """Return pytest's exit status by the worst verdict, or None where nothing ran."""
        if any(isinstance(error, UsageError) for error in self._open_error.values()):
            return int(pytest.ExitCode.USAGE_ERROR)
        order = [Verdict.PASSED, Verdict.CANCELLED, Verdict.INTERRUPTED, Verdict.INFRA]
        order += [Verdict.TIMEOUT, Verdict.SUITE, Verdict.RECIPE]
        reports = self.reports()
        verdicts = [found.verdict for found in reports]
        verdicts += [Verdict.INFRA for _ in self._never_began]
        if verdicts and self.expected - {found.recipe for found in reports} - set(self._open_error):
            verdicts.append(Verdict.INTERRUPTED)  # a planned run that never began is never green
        return max(verdicts, key=order.index).exit_code if verdicts else None

    def summaries(self) -> list[str]:
        """Return the summary of each run for a person at a terminal."""
        return [
            terminal.summary(found, self.settings.runs_dir / found.run) for found in self.reports()
        ]
