"""Follows every run from its acceptance to its verdict: starts its build, reads its log, cancels it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bridge import metrics
from bridge.answers import messages
from bridge.bridge import adopt_build, trigger_build
from bridge.builds.drone_log import Reading, read
from bridge.builds.verdict import RETRIED, Verdict, judge, own
from bridge.clients.drone import Build, Drone, NotStarted, Step
from bridge.clients.gitea import Gitea
from bridge.clients.http import Backoff, CallError
from bridge.store import Run, Store
from contract.report_line import RunReport

PERIOD = 2.0  # seconds between two questions about one build
LOG_TRIES = (
    8  # questions for the log of a build that has ended; the runner hands it in after its end
)
MUTE = 4_000_000  # characters; Drone's live log says nothing more after 5 MB
UNTAKEN = 60.0  # seconds; an idle runner may take ten to see a new build
log = logging.getLogger("bridge.builds.watcher")


@dataclass
class Watch:
    """What is known of one run beside the store; all of it can be found out again."""

    due: float = 0.0
    busy: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    checked: float = 0.0
    follower: threading.Thread | None = None
    report: RunReport | None = None
    last_line: float = field(default_factory=time.monotonic)
    heard: int = 0
    log_tries: int = 0


class Watcher:
    """Advances all active runs, each on its own, so that a slow answer for one delays no other.

    check_every: seconds between two looks at a run's pull request, 0 for only when told. changed: called
    when there is something new to say.
    """

    def __init__(
        self,
        drone: Drone,
        gitea: Gitea,
        store: Store,
        *,
        check_every: float,
        silence: float,
        start_within: float,
        changed: Callable[[], None],
        stirred: Callable[[], None],
    ) -> None:
        self._drone = drone
        self._gitea = gitea
        self._store = store
        self._check_every = check_every
        self._silence = silence
        self._start_within = start_within
        self._changed = changed
        self._stirred = stirred
        self._watches: dict[int, Watch] = {}
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="run")
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more; what goes on is left to end by itself."""
        self._stopping = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def look(self, repo: str, pr: int) -> None:
        """Look soon whether a pull request was pushed to or closed."""
        for run in self._store.active(repo, pr):
            watch = self._watches.setdefault(run.id, Watch())
            watch.checked, watch.due = float("-inf"), 0.0

    def step(self) -> float:
        """Advance every run that is due; return the seconds until one is due again."""
        runs = self._store.active()
        metrics.ACTIVE.set(len(runs))
        known = {run.id for run in runs}
        self._watches = {n: w for n, w in self._watches.items() if n in known or w.busy}
        for run in runs:
            watch = self._watches.setdefault(run.id, Watch())
            urgent = bool(run.cancel) and watch.backoff.failures == 0
            if not watch.busy and (urgent or watch.due <= time.monotonic()) and not self._stopping:
                watch.busy = True
                self._pool.submit(self._advance, run.id, watch)
        times = [w.due for w in self._watches.values() if not w.busy]
        return max(0.1, min(times, default=float("inf")) - time.monotonic())

    def _advance(self, number: int, watch: Watch) -> None:
        """Bring one run a step further."""
        try:
            watch.due = time.monotonic() + self._advanced(self._store.run(number), watch)
            watch.backoff.success()
        except CallError as error:
            pause = watch.backoff.failed(error)
            log.warning("run %d: %s; again in %.0f s", number, error, pause)
            watch.due = time.monotonic() + pause
            self._note_silence(number, error)
        except Exception:
            metrics.CRASHES.labels("watcher").inc()
            log.exception("error in the bridge itself, with run %d", number)
            watch.due = time.monotonic() + 10.0
        finally:
            watch.busy = False
            self._stirred()

    def _advanced(self, run: Run, watch: Watch) -> float:
        """Bring a run a step further; return the seconds until the next step."""
        run = self._check_pull(run, watch)
        if run.state == "accepted":
            return self._start(run)
        assert run.build is not None
        build = self._drone.get(run.build)
        if build.done:
            return self._end(run, build, watch)
        if run.cancel:
            self._drone.cancel(build.number)
            return 0.2
        if build.status == "running":
            return self._running(run, build, watch)
        return self._queued(run, build)

    def _change(self, run: Run, **values: object) -> Run:
        """Change a run where it differs, and let it be said."""
        if all(getattr(run, name) == value for name, value in values.items()):
            return run
        run = self._store.change(run, **values)
        self._changed()
        return run

    # -- the pull request

    def _check_pull(self, run: Run, watch: Watch) -> Run:
        """Cancel a run whose pull request was closed or has another head."""
        now = time.monotonic()
        told = watch.checked == float("-inf")
        if run.cancel or not (
            told or (self._check_every and now - watch.checked >= self._check_every)
        ):
            return run
        if watch.checked == 0.0 and not told:
            watch.checked = now  # it was looked at when the run was accepted
            return run
        pull = self._gitea.pull(run.repo, run.pr)
        watch.checked = now
        if not pull.open:
            self._store.ask_cancel(run, messages.PR_CLOSED)
        elif pull.head and pull.head != run.sha:
            self._store.ask_cancel(run, messages.pushed(pull.head))
        return self._store.run(run.id)

    # -- starting

    def _start(self, run: Run) -> float:
        if run.cancel and adopt_build(self._drone, self._store, run) is None:
            self._finish(run, own("cancelled", run.cancel))
            return PERIOD
        try:
            run = trigger_build(self._drone, self._store, run)
        except NotStarted as error:
            self._finish(run, own("infra", messages.not_started(str(error))))
            return PERIOD
        log.info("run %d of %s#%d is build %s", run.id, run.repo, run.pr, run.build)
        self._changed()
        return 0.3

    def _note_silence(self, number: int, error: CallError) -> None:
        """Tell the reader that Drone does not answer; after long enough, give up."""
        run = self._store.run(number)
        if run.state != "accepted":
            return
        if time.time() - run.accepted > self._start_within:
            minutes = self._start_within / 60
            self._finish(run, own("infra", messages.drone_never_answered(minutes)))
        else:
            self._change(run, note=messages.drone_silent(error.kind))

    # -- waiting and running

    def _queued(self, run: Run, build: Build) -> float:
        others = [b for b in self._drone.latest() if b.event == "custom" and not b.done]
        place = 1 + sum(b.status == "pending" and b.number < build.number for b in others)
        idle = not any(b.status == "running" for b in others)
        waited = time.time() - run.accepted
        note = messages.waiting_for_runner(waited) if idle and waited > UNTAKEN else run.note
        self._change(run, state="queued", place=place, note=note)
        return PERIOD

    def _running(self, run: Run, build: Build, watch: Watch) -> float:
        note = "" if run.attempt == 1 else run.note
        run = self._change(run, state="running", note=note)
        silent = time.monotonic() - watch.last_line
        if watch.follower is not None and silent > self._silence and watch.heard < MUTE:
            self._drone.cancel(build.number)
            self._conclude(run, own("infra", messages.lost(silent / 60)))
            return PERIOD
        step = build.work
        if step is not None and step.status == "running" and not self._follows(watch):
            watch.follower = threading.Thread(
                target=self._follow, args=(run.id, build.number, step, watch), daemon=True
            )
            if silent > self._silence:
                watch.last_line = time.monotonic()
            watch.follower.start()
        return PERIOD

    @staticmethod
    def _follows(watch: Watch) -> bool:
        return watch.follower is not None and watch.follower.is_alive()

    def _follow(self, number: int, build: int, step: Step, watch: Watch) -> None:
        """Read a running step's log to its end; when the stream breaks, the next step opens another."""
        reading, heard = Reading(), 0
        try:
            for piece in self._drone.follow(build, step):
                if not piece and self._is_over(number, build):
                    return
                if not piece:
                    continue
                watch.last_line = time.monotonic()
                heard += len(piece)
                watch.heard = max(watch.heard, heard)
                if reading.feed(piece):
                    watch.report = reading.report or watch.report
                    self._tell(number, reading)
        except CallError as error:
            log.info("run %d: its log broke off: %s", number, error)
        watch.due = 0.0
        self._stirred()

    def _is_over(self, number: int, build: int) -> bool:
        """Say whether a run has its verdict, or another build by now."""
        run = self._store.run(number)
        return not run.active or run.build != build

    def _tell(self, number: int, reading: Reading) -> None:
        """Keep how far a run has come; a stream that replays its beginning takes nothing back."""
        run = self._store.run(number)
        known = run.told().get("outcomes") or {}
        if run.active and len(reading.progress.outcomes) >= len(known):
            self._change(run, progress=reading.progress.to_json())

    # -- ending

    def _end(self, run: Run, build: Build, watch: Watch) -> float:
        """Read the whole log of a build that has ended and judge it."""
        report, log_told = watch.report, True
        step = build.work
        if step is not None and step.status != "skipped":
            log_told = self._read_log(run, build, step, watch)
            report = watch.report
        if not log_told and report is None and not run.cancel and watch.log_tries < LOG_TRIES:
            watch.log_tries += 1
            return 0.5 * watch.log_tries
        run = self._store.run(run.id)
        progress = read("").progress.of(run.told())
        self._conclude(run, judge(run, build, progress, report))
        return PERIOD

    def _read_log(self, run: Run, build: Build, step: Step, watch: Watch) -> bool:
        """Read the log that the runner handed in; say whether it did."""
        try:
            reading = read(self._drone.log(build.number, step))
        except CallError as error:
            if error.kind == "missing":
                return False
            raise
        watch.report = reading.report or watch.report
        if reading.progress.stages:
            self._tell(run.id, reading)
        return True

    def _conclude(self, run: Run, verdict: Verdict) -> None:
        """Finish a run; trouble of our own side is tried once more first."""
        if verdict.name == "infra" and run.attempt < RETRIED and not run.cancel:
            log.warning("run %d is tried again: %s", run.id, verdict.text)
            self._watches.pop(run.id, None)
            note = messages.retrying(verdict.text)
            fresh = {"build": None, "newest": None, "progress": "{}", "place": 0}
            self._change(run, state="accepted", attempt=run.attempt + 1, note=note, **fresh)
            return
        self._finish(run, verdict)

    def _finish(self, run: Run, verdict: Verdict) -> None:
        metrics.VERDICTS.labels(run.lane, verdict.name).inc()
        log.info("run %d of %s#%d: %s %s", run.id, run.repo, run.pr, verdict.name, verdict.text)
        self._change(run, state="done", verdict=verdict.to_json(), ended=time.time(), note="")
