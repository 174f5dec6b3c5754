"""One run: one recipe at one commit, once. Opens what a run needs, hands out apps, closes it all.

Order: slot, recipe lock, janitor, fetch at exactly the wanted commit, plan. Everything taken is given
back in the opposite order, whatever happened in between.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from docker.errors import DockerException

from harness import (
    containers,
    events,
    git,
    janitor,
    leak,
    lifetime,
    orphans,
    preflight,
    registry,
    remove,
    report,
    room,
    slots,
    stop,
    swarm,
    terminal,
    told,
    trusted,
)
from harness.abra import Abra
from harness.app import App
from harness.collect import Place, Suite
from harness.compose import Compose
from harness.errors import CcCiError, InfraError, RecipeFailure
from harness.events import EventLog
from harness.level import OUTCOMES, SUPERFICIAL
from harness.lock import Owner, recipe_lock, take
from harness.naming import app_domain, stack_name, unique
from harness.outcome import Outcome
from harness.plan import LANE_STAGES, STAGES, Lane
from harness.secret import Redactor
from harness.settings import Settings
from harness.suite_settings import SuiteSettings
from harness.trusted import Trust
from harness.verdict import Verdict
from harness.versions import newest_older

SLOT_TIMEOUT = 4 * 3600.0  # seconds to wait for one of the two slots, and for the recipe's lock
KEEP = 2 * 3600.0  # seconds a kept app stays up
LOG_LINES = 2000
WORDS = (*STAGES, *OUTCOMES, *LANE_STAGES, *Verdict, *events.TOLD)  # what reports are made of
LONGEST_MESSAGE = 4_000  # characters of a case's message
LONGEST_DETAILS = 64_000  # characters of its details, the last ones
BLAMED = ("recipe", "suite", "timeout")  # what a host in trouble may have caused


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
    """One run. `report` prints a line at once; `events` is the only source of all reports."""

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
    redactor: Redactor = field(init=False)
    ref: str = ""
    base_ref: str = ""
    base_version: str = ""
    no_base: str = ""
    started: float = field(default_factory=time.time)
    memory_kills: int = field(default_factory=room.memory_kills)

    def __post_init__(self) -> None:
        self.redactor = Redactor(words=(*WORDS, self.recipe))
        self.dir = self.settings.runs_dir / self.id
        self.abra_dir = self.dir / "abra"
        self.checkout_dir = self.abra_dir / "recipes" / self.recipe
        self.apps: dict[str, App] = {}
        self.failed = False
        self.stacks: list[str] = []
        self._stack = contextlib.ExitStack()
        self._entries: dict[str, registry.Entry] = {}
        self._record: registry.Entry | None = None
        self._finished = False
        self._escaped = False  # a secret got as far as the console
        self.life = ""
        self._begun = ("", "")

    # -- opening

    def open(self) -> None:
        """Take slot and lock, clear what dead runs left, fetch the commit, announce the plan.

        Its record has been started.

        Raises:
            UsageError: the commit is not in the repository.
            RecipeFailure: its files cannot be read, are too many or lead out of it.
            InfraError: what our own side could not provide.
        """
        os.environ["CCCI_RUN"] = orphans.mark(self.dir)
        owner = Owner.me(run=self.id, recipe=self.recipe)
        say = self.say
        with self.phase("queue"):
            slot = slots.take_slot(self.settings, owner, timeout=SLOT_TIMEOUT, report=say)
            self._stack.enter_context(slot)
            path = recipe_lock(self.settings, self.recipe)
            self._stack.enter_context(
                take(
                    path,
                    owner,
                    what=f"the lock of '{self.recipe}'",
                    timeout=SLOT_TIMEOUT,
                    report=say,
                )
            )
        with self.phase("janitor"):
            self._sweep(say)
            self._write_late_reports()
        try:
            with self.phase("fetch"):
                self._fetch()
        except BaseException:
            self._told_start(abra="")  # so that the report says what was asked for
            raise
        self._announce()

    def _write_late_reports(self) -> None:
        """Write the reports of runs that came to their end on a disk that took no report then."""
        for folder in report.without(self.settings.runs_dir):
            with contextlib.suppress(OSError):  # it still takes none
                report.write_all(folder)
                self.say(f"wrote the reports of run {folder.name}, whose disk took none at its end")

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
        self.events = EventLog(self.dir / "events.jsonl", scrub=self.redactor.scrub)

    def _sweep(self, say: Callable[[str], None]) -> None:
        janitor.sweep(
            self.settings, swarm.client(), own_run=self.id, report=say, finish=report.finish_dead
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
                "CCCI_RUN": orphans.mark(self.dir),
            },
            report=self.say,
        )
        version = self.abra.version()
        self._told_start(abra=version)
        if "standin" in version:
            self.note("abra is the sandbox's stand-in, not the real one")
        if self.settings.endpoint_mode:
            self.note(
                f"every service runs with endpoint_mode {self.settings.endpoint_mode}: "
                "this kernel's service addresses are dead"
            )
        if self.trust is None and trusted.tests_of(self.checkout_dir):
            self.note(trusted.NOT_TRUSTED)
        base = (
            f"upgrade from {self.base_version}" if self.base_ref else f"no upgrade: {self.no_base}"
        )
        self.say(
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
        self.tell(
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

    # -- lives

    def enter(self, life: str) -> App:
        """Return the app of a life; the app of another life is torn down first.

        Raises:
            UsageError: a name of the app would be too long, says by how much.
        """
        if life not in self.apps:
            for other in list(self.apps):
                self.tear_down(self.apps[other])
            with lifetime.deferred():  # a registered app that is not known would not be torn down
                self.apps[life] = self._mint(life)
        self.life = life
        return self.apps[life]

    def _mint(self, life: str) -> App:
        token = unique(life, self.recipe, self.id, self.request.pr, self.ref)
        domain = app_domain(token, self.recipe, self.settings.apps_domain)
        stack = stack_name(domain)
        self.stacks.append(stack)
        left = remove.leftovers(swarm.client(), stack)
        if left:
            names = ", ".join(f"{item.kind} {item.name}" for item in left)
            raise InfraError(f"'{stack}' is a new name, yet there is: {names}")
        entry = registry.register(
            self.settings,
            domain=domain,
            stack=stack,
            run=self.id,
            run_dir=self.dir,
            recipe=self.recipe,
            life=life,
        )
        self._entries[domain] = entry
        return App(
            domain=domain,
            stack=stack,
            recipe=self.recipe,
            life=life,
            settings=self.settings,
            report=lambda line: self.say(line, life),
        )

    def tear_down(self, app: App) -> tuple[remove.Leftover, ...]:
        """Save the app's logs, then remove it by force; return what would not go."""
        with self.phase("teardown", app.life):
            swarm.await_engine(self.say)
            if not app.stopped:
                self.save_logs(app)
            left = remove.remove_stack(
                swarm.client(), app.stack, env_file=self.env_path(app), report=self.say
            )
        if not left:
            with lifetime.deferred():
                registry.forget(self.settings, self._entries.pop(app.domain))
                self.apps.pop(app.life, None)
        for item in left:
            self.note(f"could not remove {item.kind} '{item.name}': {item.why}")
        return left

    def stop(self, app: App) -> None:
        """Stop the app for the negative controls: nothing of it runs, everything else is there."""
        if app.stopped:
            return
        with self.phase("stop", app.life):
            self.save_logs(app)
            stop.stop(app.stack)
        app.stopped = True

    def save_logs(self, app: App) -> None:
        """Write the last 2,000 log lines of every service below logs/, without secrets.

        What cannot be saved is noted: evidence is no reason to leave an app standing.
        """
        try:
            for service in swarm.view(app.stack).services:
                lines = containers.logs(app.stack, service.name, lines=LOG_LINES)
                self.keep_log(app.life, service.name, "\n".join(lines) + "\n")
        except (CcCiError, DockerException, OSError) as error:
            self.note(f"could not save the logs of life '{app.life}': {error}")

    def keep_log(self, life: str, name: str, text: str) -> None:
        """Write a text below logs/, without secrets, as evidence."""
        path = self.dir / "logs" / f"{life}-{name}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.redactor.scrub(text), errors="replace")
        self.events.write("evidence", kind="log", path=str(path.relative_to(self.dir)))

    def checkout(self, ref: str) -> None:
        """Move the run's own checkout to exactly this commit."""
        git.checkout(self.checkout_dir, ref)

    def env_path(self, app: App) -> Path:
        """Return the app's env file in this run's own abra directory."""
        return self.abra_dir / "servers" / "default" / f"{app.domain}.env"

    # -- closing

    def close(self) -> None:
        """Tear down what still stands, write the reports, give back lock and slot."""
        lifetime.begin_teardown()
        try:
            if not self._finished:
                self._finished = True
                self._finish()
        finally:
            lifetime.end_teardown()

    def _finish(self) -> None:
        try:
            self._come_to_the_end(lifetime.why())
        finally:
            for entry in (*self._entries.values(), self._record):
                if entry is not None:
                    entry.close()
            self._stack.close()
            self.events.close()

    def _come_to_the_end(self, why: str) -> None:
        for process in orphans.end(self.dir, list(self._entries)) if why else ():
            self.note(f"{process} of this run does not end")
        self._tear_down_rest()
        self._keep_record()
        self._look_for_secrets()
        self.tell("run-finished", how="interrupted" if why else "finished", reason=why)
        self._tell_report()
        leak.scan(self.dir, self.redactor, names=report.FILES)
        if self._record is not None and not self._entries and not self.apps:
            registry.forget(self.settings, self._record)

    def _keep_record(self) -> None:
        """Undo what anybody else did to the events; such a run is not to be believed."""
        if self.events.restore():
            self.tell(
                "tampered", text="something else than the harness wrote into the run's events"
            )

    def _look_for_secrets(self) -> None:
        """Write the reports as they would be, then look for secrets in all that is kept."""
        self._write_reports()
        with self.phase("scan"):
            try:
                found = [str(item) for item in leak.scan(self.dir, self.redactor)]
            except OSError as error:
                found = [f"'{self.dir}' could not be looked into: {error.strerror}"]
        self.tell("scan", clean=not (found or self._escaped), files=found)

    def _tear_down_rest(self) -> None:
        if self.request.keep and self.failed and self.apps and not lifetime.why():
            self._keep()
            return
        for app in list(self.apps.values()):
            try:
                self.tear_down(app)
            except (CcCiError, DockerException, OSError) as error:
                self.note(f"could not tear down '{app.domain}', the janitor will: {error}")
        if not self._entries:
            self.clean_directory()

    def _keep(self) -> None:
        until = time.time() + KEEP
        for app in self.apps.values():
            registry.keep(self.settings, app.domain, until=until)
            clock = time.strftime("%H:%M", time.localtime(until))
            self.say(
                f"kept: https://{app.domain} for 2 h (until {clock}); "
                f"attach: cc-ci attach {app.domain}; clean up: cc-ci janitor --now {app.domain}"
            )

    def clean_directory(self) -> None:
        """Remove the run's abra directory; its env files name secrets' versions, its checkout is big."""
        for folder in (self.abra_dir, self.dir / registry.APPS):
            shutil.rmtree(folder, ignore_errors=True)

    # -- telling

    def tell(self, event: str, /, **data: object) -> None:
        """Record an event; in a Drone build also print it as a marked line, for who has only the log."""
        line = events.marked(self.events.write(event, **data))
        if line and os.environ.get("DRONE"):
            self._print(line)

    def _tell_report(self) -> None:
        """Write the reports; in a Drone build also print the finished run as one marked line."""
        made = self._write_reports()
        if os.environ.get("DRONE"):
            self._print(told.line(made))

    def _write_reports(self) -> report.Report:
        """Write the reports and return what they tell.

        On a disk that takes no report the events are still there, and the janitor writes it later.
        """
        made = self.report()
        try:
            report.write(self.dir, made)
        except OSError as error:
            self.say(f"could not write the reports into '{self.dir}': {error.strerror}")
        return made

    def _print(self, line: str) -> None:
        """Print a line; one that still holds a secret is masked, and counts as a leak."""
        clean = self.redactor.scrub(line)
        self._escaped = self._escaped or clean != line
        self.console(clean)

    def report(self) -> report.Report:
        """Return the report of what has happened so far, also of what the disk did not take."""
        try:
            return report.read(self.dir, unwritten=self.events.unwritten)
        except OSError:
            return report.build(self.events.told, run=self.id)

    def reconsider(self, outcome: Outcome) -> Outcome:
        """Return an outcome with whose fault it is after a look at the host it happened on.

        On a host in trouble a failure says nothing about the recipe. A service that the kernel ended
        at a memory limit of its own is the recipe's affair; one without a limit met the host's.
        """
        if outcome.fault not in BLAMED:
            return outcome
        trouble = self.events.trouble or preflight.trouble(self.settings)
        if not trouble:
            killed = self._memory_kill()
            if killed and killed.limit:
                own = room.size(killed.limit)
                text = f"service '{killed.service}' was ended at its own memory limit of {own}"
                return replace(outcome, message=f"{text}: {outcome.message}")
            if killed:
                trouble = f"the kernel ended service '{killed.service}' because memory ran out"
        if not trouble:
            return outcome
        return replace(outcome, fault="infra", message=f"{trouble}; by then: {outcome.message}")

    def _memory_kill(self) -> containers.MemoryKill | None:
        host_killed = room.memory_kills() > self.memory_kills
        found = (containers.memory_kill(s, host_killed=host_killed) for s in self.stacks)
        with contextlib.suppress(DockerException, OSError):  # what failed stays as it was judged
            return next((kill for kill in found if kill), None)
        return None

    def begin(self, stage: str, life: str) -> None:
        """Tell that a stage begins, once.

        Raises:
            InfraError: what happens can no longer be recorded; only the cleanup goes on.
        """
        if self.events.trouble and stage != "cleanup":
            raise InfraError(self.events.trouble)
        if (stage, life) != self._begun:
            self._begun = (stage, life)
            self.tell("stage-started", stage=stage, life=life or None)

    def say(self, text: str, life: str = "") -> None:
        """Print a line at once and record it."""
        clean = self.redactor.scrub(text)
        self.events.write("state", life=life or None, text=clean)
        self._print(self._line(clean, life))

    def _line(self, text: str, life: str) -> str:
        return terminal.live(time.time() - self.started, self.recipe, life, text)

    def note(self, text: str) -> None:
        """Record something the reader of the report should know, and print it."""
        clean = self.redactor.scrub(text)
        self.events.write("note", text=clean)
        self._print(self._line(f"note: {clean}", ""))

    @contextlib.contextmanager
    def phase(self, name: str, life: str = "") -> Iterator[None]:
        """Time a phase, also when it fails."""
        start = time.monotonic()
        try:
            yield
        finally:
            seconds = round(time.monotonic() - start, 3)
            self.events.write("phase", phase=name, life=life or None, seconds=seconds)

    def case(self, name: str, place: Place, outcome: Outcome, *, seconds: float) -> None:
        """Record one case as an event and print it; a failure has its app's logs saved at once."""
        self.failed = self.failed or outcome.kind in ("fail", "error")
        message = self.redactor.scrub(outcome.message or "")[:LONGEST_MESSAGE] or None
        details = self.redactor.scrub(outcome.details or "")[-LONGEST_DETAILS:] or None
        life = place.step.life(self.request.lane)
        self.tell(
            "case",
            id=name,
            stage=place.step.stage,
            life=life or None,
            outcome=outcome.kind,
            seconds=round(seconds, 3),
            message=message,
            details=details,
            fault=outcome.fault,
            structural=outcome.structural,
        )
        self._print(self._line(f"{report.MARKS[outcome.kind]} {name} ({seconds:.1f} s)", life))
        if message and (outcome.fault or outcome.kind == "skip"):
            self._print(self._line(f"    {message}", life))

    def control(self, name: str, place: Place, kind: str, why: str, *, seconds: float) -> None:
        """Record a negative control; one that passed although nothing runs is a case of its own."""
        took = round(seconds, 3)
        self.events.write("phase", phase="control", life=self.life or None, seconds=took)
        self.tell("control", id=name, outcome=kind, seconds=took, message=why or None)
        if kind == "superficial":
            self.case(name, place, Outcome("unverified", "suite", SUPERFICIAL), seconds=seconds)


def _set_aside(folder: Path) -> None:
    """Rename the directory of an earlier run of this id, which a Drone that lost its database gives again."""
    if not (folder / "events.jsonl").exists():
        return
    free = next(
        n for n in itertools.count(1) if not folder.with_name(f"{folder.name}.{n}").exists()
    )
    folder.rename(folder.with_name(f"{folder.name}.{free}"))
