"""One run: one recipe at one commit, tested once.

Opening order: record, slot, recipe lock, janitor, fetch at exactly the wanted commit, plan. Closing
the record gives everything back in the opposite order, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import RecipeFailure
from harness.host import orphans
from harness.host.lock import Owner, recipe_lock, take, take_slot
from harness.naming import app_token
from harness.recipe import git
from harness.recipe.compose import Compose
from harness.recipe.versions import newest_older
from harness.reporting import run_dir
from harness.runs import registry
from harness.runs.apps import Apps
from harness.runs.deployment import Deployment
from harness.runs.record import Request, RunRecord, sweep
from harness.runs.recorder import Recorder
from harness.settings import Settings
from harness.suites import trusted
from harness.suites.app import App
from harness.suites.suite import Suite
from harness.suites.suite_settings import SuiteSettings
from harness.suites.trusted import Trust
from harness.swarm.abra import Abra

SLOT_TIMEOUT = 4 * 3600.0  # seconds to wait for a slot, and again for the recipe's lock


@dataclass(frozen=True, slots=True)
class Base:
    """The published version that the upgrade starts from.

    Attributes:
        ref: its commit, "" if there is none.
        version: its tag.
        why_none: why there is none, "" if there is one.
    """

    ref: str = ""
    version: str = ""
    why_none: str = ""


@dataclass(frozen=True)
class Run:
    """One run whose commit is fetched: what stages and tests work with.

    Attributes:
        record: directory, recorder and apps of the run.
        abra: abra with this run's own data directory.
        ref: the commit under test, its full sha.
        base: the published version that the upgrade starts from.
        deployments: what is deployed, by the app's domain.
    """

    record: RunRecord
    abra: Abra
    ref: str
    base: Base = Base()
    deployments: dict[str, Deployment] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings of the session."""
        return self.record.settings

    @property
    def request(self) -> Request:
        """What was asked for."""
        return self.record.request

    @property
    def recipe(self) -> str:
        """The name of the recipe under test."""
        return self.record.recipe

    @property
    def suite(self) -> Suite:
        """The functions that the recipe's suite marked."""
        return self.record.plan.suite

    @property
    def suite_settings(self) -> SuiteSettings:
        """The settings in the suite's recipe.yml."""
        return self.record.plan.suite_settings

    @property
    def trust(self) -> Trust | None:
        """How far the recipe's own tests are trusted, None if they may not run."""
        return self.record.plan.trust

    @property
    def dir(self) -> Path:
        """The run's directory."""
        return self.record.dir

    @property
    def checkout_dir(self) -> Path:
        """The run's own checkout of the recipe."""
        return self.record.checkout_dir

    @property
    def recorder(self) -> Recorder:
        """Records events and prints progress."""
        return self.record.recorder

    @property
    def apps(self) -> Apps:
        """The run's apps."""
        return self.record.apps

    def enter(self, life: str) -> App:
        """Return the app of a life; the app of another life is torn down first.

        Args:
            life: "fresh", "upgrade", "warm", or "" for steps that need no app.

        Raises:
            UsageError: the app's name would be too long.
            InfraError: the app's name is already in use on this host.
        """
        record = self.record
        token = app_token(life, self.recipe, record.id, self.request.pr, self.ref)
        return self.apps.enter(life, token)

    def checkout(self, ref: str) -> None:
        """Move the run's own checkout to exactly this commit."""
        git.checkout(self.checkout_dir, ref)

    def env_path(self, app: App) -> Path:
        """Return the path of the app's env file in this run's own abra directory."""
        return registry.env_path(self.dir, app.domain)


def open_run(record: RunRecord) -> Run:
    """Take slot and lock, clean up after dead runs, fetch the commit, announce the plan.

    What was taken is given back when the record is closed, also after an error here.

    Raises:
        UsageError: the repository does not contain the commit.
        RecipeFailure: its files cannot be read, are too many or lead out of it.
        InfraError: this host or a server that it needs has a problem.
    """
    os.environ["CCCI_RUN"] = orphans.run_mark(record.dir)
    progress = record.recorder.progress
    with record.recorder.phase("queue"):
        _take_slot_and_lock(record)
    with record.recorder.phase("janitor"):
        sweep(record.settings, record.id, progress)
        _write_late_reports(record)
    ref, base = _fetch(record)
    abra = Abra(
        record.settings.abra,
        record.abra_dir,
        extra={
            "CCCI_ENDPOINT_MODE": record.settings.endpoint_mode,
            "CCCI_RUN": orphans.run_mark(record.dir),
        },
        progress=progress,
    )
    run = Run(record, abra, ref, base)
    _announce(run)
    return run


def _take_slot_and_lock(record: RunRecord) -> None:
    settings, progress = record.settings, record.recorder.progress
    owner = Owner.me(run=record.id, recipe=record.recipe)
    slot = take_slot(settings, owner, timeout=SLOT_TIMEOUT, progress=progress)
    record.locks.enter_context(slot)
    lock = take(
        recipe_lock(settings, record.recipe),
        owner,
        what=f"the lock of '{record.recipe}'",
        timeout=SLOT_TIMEOUT,
        progress=progress,
    )
    record.locks.enter_context(lock)


def _write_late_reports(record: RunRecord) -> None:
    """Write the reports of finished runs whose disk could not take them at the time."""
    for folder in run_dir.without_reports(record.settings.runs_dir):
        with contextlib.suppress(OSError):  # it still cannot
            run_dir.write_all(folder)
            record.recorder.progress(
                f"wrote the reports of run {folder.name}, which could not be written at its end"
            )


# %% Fetching


def _fetch(record: RunRecord) -> tuple[str, Base]:
    """Fetch the commit into the run's own checkout; return it and the base of the upgrade.

    A failed fetch is recorded as a started run, so that the report shows what was asked for.
    """
    ref = record.request.ref
    try:
        with record.recorder.phase("fetch"):
            upstream = record.settings.recipes_url.format(recipe=record.recipe)
            source = _source(record, upstream)
            record.abra_dir.mkdir(mode=0o700, exist_ok=True)  # holds the apps' env files
            (record.abra_dir / "servers" / "default").mkdir(parents=True, exist_ok=True)
            ref = ref or git.resolve(source, None)
            git.fetch_checkout(source, ref, record.checkout_dir, upstream_url=upstream)
            return ref, choose_base(record.checkout_dir, ref)
    except BaseException:
        _record_start(record, ref, Base(), abra="")
        raise


def _source(record: RunRecord, upstream: str) -> str:
    src = record.request.src
    return f"{record.settings.forge_url}/{src}.git" if src else upstream


def choose_base(checkout: Path, ref: str) -> Base:
    """Return the newest published version that is older than a commit."""
    found = newest_older(git.version_tags(checkout), ref, head_version(checkout))
    if found.tag is None:
        return Base(why_none=found.reason)
    return Base(found.tag.commit, found.tag.name)


def head_version(checkout: Path) -> str | None:
    """Return the recipe's version in a checkout, None if its compose file names none.

    Raises:
        RecipeFailure: the compose file cannot be read.
    """
    return Compose.load(checkout, {"STACK_NAME": "stack"}).version


# %% Announcing


def _announce(run: Run) -> None:
    record, recorder = run.record, run.recorder
    version = run.abra.version()
    _record_start(record, run.ref, run.base, abra=version)
    if "standin" in version:
        recorder.note(f"abra is a stand-in (version {version}), not the real one")
    mode = run.settings.endpoint_mode
    if mode:
        recorder.note(
            f"all services use endpoint mode {mode}: Swarm VIPs (IPVS) do not work on this kernel"
        )
    if run.trust is None and trusted.tests_of(run.checkout_dir):
        recorder.note(trusted.NOT_TRUSTED)
    base = run.base
    upgrade = f"upgrade from {base.version}" if base.ref else f"no upgrade: {base.why_none}"
    stages = ", ".join(record.plan.stages)
    recorder.progress(f"{run.recipe} {run.ref[:8]}, {run.request.lane}: {stages}; {upgrade}")


def _record_start(record: RunRecord, ref: str, base: Base, *, abra: str) -> None:
    """Record what this run is.

    Args:
        record: the run's record.
        ref: the commit, as far as it is known.
        base: the base of the upgrade.
        abra: abra's version, "" if the run fails before it is known.
    """
    record.recorder.record(
        "run-started",
        run=record.id,
        recipe=record.recipe,
        ref=ref,
        pr=record.request.pr,
        src=record.request.src,
        lane=record.request.lane,
        stages=list(record.plan.stages),
        planned=list(record.plan.cases),
        version=_readable_version(record.checkout_dir),
        base_version=base.version or None,
        abra=abra,
        notes=[],
        argv=[],
        pid=os.getpid(),
        boot=registry.boot_id(),
    )


def _readable_version(checkout: Path) -> str:
    """Return the head's version, "" if nothing was fetched or it cannot be read."""
    try:
        return head_version(checkout) or ""
    except RecipeFailure:
        return ""
