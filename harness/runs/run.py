"""One run: one recipe at one commit, once. Opens what a run needs, and closes it all.

Order: slot, recipe lock, janitor, fetch at exactly the wanted commit, plan. Everything taken is given
back in the opposite order, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from contract import run_files
from harness.errors import InfraError, RecipeFailure
from harness.host import orphans, resources, signals
from harness.host.lock import Owner, recipe_lock, take, take_slot
from harness.naming import unique
from harness.plan import Lane
from harness.recipe import git
from harness.recipe.compose import Compose
from harness.recipe.versions import newest_older
from harness.reporting import run_dir, secret_scan
from harness.runs import janitor, registry
from harness.runs.apps import Apps
from harness.runs.deployment import Deployment
from harness.runs.recorder import Recorder
from harness.settings import Settings
from harness.suites import trusted
from harness.suites.app import App
from harness.suites.collect import Suite
from harness.suites.suite_settings import SuiteSettings
from harness.suites.trusted import Trust
from harness.swarm import engine
from harness.swarm.abra import Abra

SLOT_TIMEOUT = 4 * 3600.0  # seconds to wait for one of the two slots, and for the recipe's lock


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: commit ("" = head of the default branch), pull request, source, lane."""

    ref: str = ""
    pr: str = "0"
    src: str = ""
    lane: Lane = "cold"
    keep: bool = False


@dataclass
class Run:
    """One run: what was asked for, what was fetched, what it tells (`recorder`) and its apps (`apps`)."""

    settings: Settings
    request: Request
    recipe: str
    id: str
    suite: Suite
    suite_settings: SuiteSettings
    stages: tuple[str, ...]
    console: Callable[[str], None]
    trust: Trust | None = None
    planned: tuple[str, ...] = ()
    ref: str = ""
    base_ref: str = ""
    base_version: str = ""
    no_base: str = ""
    oom_kills: int = field(default_factory=resources.oom_kills)
    deployments: dict[str, Deployment] = field(default_factory=dict)  # by the app's domain

    def __post_init__(self) -> None:
        self.dir = self.settings.runs_dir / self.id
        self.abra_dir = self.dir / "abra"
        self.checkout_dir = self.abra_dir / "recipes" / self.recipe
        self._taken = contextlib.ExitStack()  # slot and lock
        self._record: registry.Entry | None = None
        self._finished = False

    # -- opening

    def start_record(self) -> None:
        """Make the run's directory, record and file of events, from which every secret is kept away.

        What an earlier run of this id left is reaped first.

        Raises:
            InfraError: the disk does not take them, or a run of this id is still going on.
        """
        if (self.dir / registry.RECORD).exists():
            self._sweep(self.console)
        if not registry.is_free(self.dir):
            raise InfraError(f"run '{self.id}' is still going on; give this one another id")
        try:
            _set_aside(self.dir)
            self.dir.mkdir(parents=True, exist_ok=True)
            self._record = registry.begin(self.dir, run=self.id, recipe=self.recipe)
        except OSError as error:
            raise InfraError(f"cannot make '{self.dir}': {error.strerror}") from error
        self.recorder = Recorder(
            self.dir, recipe=self.recipe, lane=self.request.lane, console=self.console
        )
        self.apps = Apps(
            self.settings,
            run=self.id,
            run_dir=self.dir,
            recipe=self.recipe,
            recorder=self.recorder,
            token=lambda life: unique(life, self.recipe, self.id, self.request.pr, self.ref),
            env_path=self.env_path,
        )

    def open(self) -> None:
        """Take slot and lock, clear what dead runs left, fetch the commit, announce the plan.

        Its record has been started.

        Raises:
            UsageError: the commit is not in the repository.
            RecipeFailure: its files cannot be read, are too many or lead out of it.
            InfraError: what our own side could not provide.
        """
        os.environ["CCCI_RUN"] = orphans.run_mark(self.dir)
        owner = Owner.me(run=self.id, recipe=self.recipe)
        say = self.recorder.say
        with self.recorder.phase("queue"):
            slot = take_slot(self.settings, owner, timeout=SLOT_TIMEOUT, progress=say)
            self._taken.enter_context(slot)
            path = recipe_lock(self.settings, self.recipe)
            self._taken.enter_context(
                take(
                    path,
                    owner,
                    what=f"the lock of '{self.recipe}'",
                    timeout=SLOT_TIMEOUT,
                    progress=say,
                )
            )
        with self.recorder.phase("janitor"):
            self._sweep(say)
            self._write_late_reports()
        try:
            with self.recorder.phase("fetch"):
                self._fetch()
        except BaseException:
            self._told_start(abra="")  # so that the report says what was asked for
            raise
        self._announce()

    def _sweep(self, say: Callable[[str], None]) -> None:
        janitor.sweep(
            self.settings,
            engine.client(),
            own_run=self.id,
            progress=say,
            finish=run_dir.finish_dead,
        )

    def _write_late_reports(self) -> None:
        """Write the reports of runs that came to their end on a disk that took no report then."""
        for folder in run_dir.without_reports(self.settings.runs_dir):
            with contextlib.suppress(OSError):  # it still takes none
                run_dir.write_all(folder)
                name = folder.name
                self.recorder.say(
                    f"wrote the reports of run {name}, whose disk took none at its end"
                )

    def _fetch(self) -> None:
        upstream = self.settings.recipes_url.format(recipe=self.recipe)
        source = (
            f"{self.settings.forge_url}/{self.request.src}.git" if self.request.src else upstream
        )
        if not self.request.src and self.request.pr == "0":
            source = upstream
        self.abra_dir.mkdir(mode=0o700, exist_ok=True)  # holds the apps' env files
        (self.abra_dir / "servers" / "default").mkdir(parents=True, exist_ok=True)
        self.ref = self.request.ref or git.resolve(source, None)
        git.fetch_checkout(source, self.ref, self.checkout_dir, upstream_url=upstream)
        self._choose_base()

    def _choose_base(self) -> None:
        tags = git.version_tags(self.checkout_dir)
        found = newest_older(tags, self.ref, self._head_version())
        if found.tag is None:
            self.no_base = found.reason
        else:
            self.base_ref, self.base_version = found.tag.commit, found.tag.name

    def _head_version(self) -> str | None:
        return Compose.load(self.checkout_dir, {"STACK_NAME": "stack"}).version

    def _announce(self) -> None:
        self.abra = Abra(
            self.settings.abra,
            self.abra_dir,
            extra={
                "CCCI_ENDPOINT_MODE": self.settings.endpoint_mode,
                "CCCI_RUN": orphans.run_mark(self.dir),
            },
            progress=self.recorder.say,
        )
        version = self.abra.version()
        self._told_start(abra=version)
        if "standin" in version:
            self.recorder.note(f"abra is a stand-in (version {version}), not the real one")
        if self.settings.endpoint_mode:
            self.recorder.note(
                f"every service runs with endpoint_mode {self.settings.endpoint_mode}: "
                "this kernel's service addresses are dead"
            )
        if self.trust is None and trusted.tests_of(self.checkout_dir):
            self.recorder.note(trusted.NOT_TRUSTED)
        base = (
            f"upgrade from {self.base_version}" if self.base_ref else f"no upgrade: {self.no_base}"
        )
        self.recorder.say(
            f"{self.recipe} {self.ref[:8]}, {self.request.lane}: {', '.join(self.stages)}; {base}"
        )

    def _told_version(self) -> str:
        """Return the head's version, "" where nothing was fetched or nothing can be read."""
        try:
            return self._head_version() or ""
        except RecipeFailure:
            return ""

    def _told_start(self, *, abra: str) -> None:
        """Tell what this run is."""
        self.recorder.tell(
            "run-started",
            run=self.id,
            recipe=self.recipe,
            ref=self.ref or self.request.ref,
            pr=self.request.pr,
            src=self.request.src,
            lane=self.request.lane,
            stages=list(self.stages),
            planned=list(self.planned),
            version=self._told_version(),
            base_version=self.base_version or None,
            abra=abra,
            notes=[],
            argv=[],
            pid=os.getpid(),
            boot=registry.boot_id(),
        )

    # -- what it holds

    def checkout(self, ref: str) -> None:
        """Move the run's own checkout to exactly this commit."""
        git.checkout(self.checkout_dir, ref)

    def env_path(self, app: App) -> Path:
        """Return the app's env file in this run's own abra directory."""
        return self.abra_dir / "servers" / "default" / f"{app.domain}.env"

    # -- closing

    def close(self) -> None:
        """Tear down what still stands, write the reports, give back lock and slot."""
        signals.begin_teardown()
        try:
            if not self._finished:
                self._finished = True
                self._finish()
        finally:
            signals.end_teardown()

    def _finish(self) -> None:
        try:
            self._come_to_the_end(signals.reason())
        finally:
            self.apps.let_go()
            if self._record is not None:
                self._record.close()
            self._taken.close()
            self.recorder.close()

    def _come_to_the_end(self, why: str) -> None:
        for process in orphans.terminate(self.dir, self.apps.domains) if why else ():
            self.recorder.note(f"{process} of this run does not end")
        self._tear_down_rest()
        self.recorder.take_out_foreign()
        self._look_for_secrets()
        self.recorder.finish(why)
        secret_scan.scan(self.dir, self.recorder.redactor, names=run_files.REPORTS)
        if self._record is not None and self.apps.are_over:
            registry.forget(self.settings, self._record)

    def _look_for_secrets(self) -> None:
        """Write the reports as they would be, then look for secrets in all that is kept."""
        self.recorder.write_reports()
        with self.recorder.phase("scan"):
            try:
                found = [str(item) for item in secret_scan.scan(self.dir, self.recorder.redactor)]
            except OSError as error:
                found = [f"'{self.dir}' could not be looked into: {error.strerror}"]
        self.recorder.tell("scan", clean=not (found or self.recorder.escaped), files=found)

    def _tear_down_rest(self) -> None:
        apps = self.apps
        if self.request.keep and self.recorder.failed and apps.by_life and not signals.reason():
            apps.keep()
            return
        apps.end()
        if not apps.domains:
            self._clean_directory()

    def _clean_directory(self) -> None:
        """Remove the run's abra directory; its env files name secrets' versions, its checkout is big."""
        for folder in (self.abra_dir, self.dir / registry.APPS):
            shutil.rmtree(folder, ignore_errors=True)


def _set_aside(folder: Path) -> None:
    """Rename the directory of an earlier run of this id, which a Drone that lost its database gives again."""
    if not (folder / run_files.EVENTS).exists():
        return
    free = next(
        n for n in itertools.count(1) if not folder.with_name(f"{folder.name}.{n}").exists()
    )
    folder.rename(folder.with_name(f"{folder.name}.{free}"))
