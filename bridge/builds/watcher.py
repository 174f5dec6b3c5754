"""Follows each run from acceptance to its result: starts its build, reads its log, cancels it."""

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
from bridge.builds import drone_log
from bridge.builds.drone_log import LogReader
from bridge.builds.verdict import MAX_ATTEMPTS, judge, without_report
from bridge.clients.drone import Build, Drone, NotStarted, Step
from bridge.clients.gitea import Gitea
from bridge.clients.http import Backoff, CallError
from bridge.model import Progress, Result, Run
from bridge.store import Store
from contract.report_line import RunReport
from contract.verdicts import Verdict

POLL_INTERVAL = 2.0  # seconds between two requests about one build
AFTER_START = 0.3  # seconds until the first request about a new build
AFTER_CANCEL = 0.2  # seconds until a cancelled build is checked again
ERROR_PAUSE = 10.0  # seconds; after a bug in the bridge
MAX_LOG_TRIES = 8  # requests for the log of a finished build; the runner uploads it after the end
LOG_RETRY_PAUSE = 0.5  # seconds, times the number of tries so far
LOG_CAP = 4_000_000  # characters; Drone's live log stops after 5 MB
PICKUP_TIMEOUT = 60.0  # seconds; an idle runner may take ten to see a new build
MIN_PAUSE = 0.1  # seconds between two steps
NOW = float("-inf")  # as the time of the last check: the next one is due
log = logging.getLogger("bridge.builds.watcher")


@dataclass
class FollowedRun:
    """In-memory state of a followed run; can be rebuilt after a restart."""

    due: float = 0.0
    busy: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    pull_checked: float = 0.0
    follower: threading.Thread | None = None
    report: RunReport | None = None
    last_output: float = field(default_factory=time.monotonic)
    log_length: int = 0
    log_tries: int = 0


class Watcher:
    """Advances all active runs, each in its own thread, so that a slow response for one delays no other.

    Args:
        drone: the client of Drone.
        gitea: the client of the forge.
        store: the persistent state.
        check_every: seconds between two checks of a run's pull request, 0 for only on webhook events.
        silence: seconds without log output after which a build counts as lost.
        start_within: seconds during which starting a build is retried.
        on_change: called when there is something new to publish.
        wake: called when a step is due earlier than announced.
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
        on_change: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        self._drone = drone
        self._gitea = gitea
        self._store = store
        self._check_every = check_every
        self._silence = silence
        self._start_within = start_within
        self._on_change = on_change
        self._wake = wake
        self._followed: dict[int, FollowedRun] = {}
        self._pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="run")
        self._stopping = False

    def stop(self) -> None:
        """Start nothing more; steps in progress finish by themselves."""
        self._stopping = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def recheck(self, repo: str, pr: int) -> None:
        """Check in the next step whether a pull request was pushed to or closed."""
        for run in self._store.active(repo, pr):
            followed = self._followed.setdefault(run.id, FollowedRun())
            followed.pull_checked, followed.due = NOW, 0.0

    def step(self) -> float:
        """Advance every run that is due; return the seconds until the next one is due."""
        runs = self._store.active()
        metrics.ACTIVE.set(len(runs))
        active = {run.id for run in runs}
        self._followed = {n: f for n, f in self._followed.items() if n in active or f.busy}
        for run in runs:
            followed = self._followed.setdefault(run.id, FollowedRun())
            urgent = bool(run.cancel_reason) and followed.backoff.failures == 0
            due = urgent or followed.due <= time.monotonic()
            if due and not followed.busy and not self._stopping:
                followed.busy = True
                self._pool.submit(self._advance, run.id, followed)
        times = [f.due for f in self._followed.values() if not f.busy]
        return max(MIN_PAUSE, min(times, default=float("inf")) - time.monotonic())

    def _advance(self, number: int, followed: FollowedRun) -> None:
        """Advance one run by one step; survive every error."""
        try:
            followed.due = time.monotonic() + self._next(self._store.run(number), followed)
            followed.backoff.success()
        except CallError as error:
            pause = followed.backoff.failed(error)
            log.warning("run %d: %s; retrying in %.0f s", number, error, pause)
            followed.due = time.monotonic() + pause
            self._note_unavailable(number, error)
        except Exception:
            metrics.CRASHES.labels("watcher").inc()
            log.exception("bug in the bridge, in run %d; retrying", number)
            followed.due = time.monotonic() + ERROR_PAUSE
        finally:
            followed.busy = False
            self._wake()

    def _next(self, run: Run, followed: FollowedRun) -> float:
        """Take the next step of a run; return the seconds until the one after it."""
        run = self._check_pull(run, followed)
        if run.state == "accepted":
            return self._start(run)
        assert run.build is not None
        build = self._drone.get(run.build)
        if build.done:
            return self._judge(run, build, followed)
        if run.cancel_reason:
            self._drone.cancel(build.number)
            return AFTER_CANCEL
        if build.status == "running":
            return self._running(run, build, followed)
        return self._queued(run, build)

    def _update(self, run: Run, **values: object) -> Run:
        """Store what differs, and publish it."""
        if all(getattr(run, name) == value for name, value in values.items()):
            return run
        run = self._store.update(run, **values)
        self._on_change()
        return run

    # -- the pull request

    def _check_pull(self, run: Run, followed: FollowedRun) -> Run:
        """Cancel a run whose pull request was closed or has a new head."""
        now = time.monotonic()
        requested = followed.pull_checked == NOW
        periodic = self._check_every and now - followed.pull_checked >= self._check_every
        if run.cancel_reason or not (requested or periodic):
            return run
        if followed.pull_checked == 0.0 and not requested:
            followed.pull_checked = now  # it was checked when the command was accepted
            return run
        pull = self._gitea.pull(run.repo, run.pr)
        followed.pull_checked = now
        if not pull.open:
            self._store.request_cancel(run, messages.PR_CLOSED)
        elif pull.head and pull.head != run.sha:
            self._store.request_cancel(run, messages.pushed(pull.head))
        return self._store.run(run.id)

    # -- starting

    def _start(self, run: Run) -> float:
        if run.cancel_reason and adopt_build(self._drone, self._store, run) is None:
            self._finish(run, without_report(Verdict.CANCELLED, run.cancel_reason))
            return POLL_INTERVAL
        try:
            run = trigger_build(self._drone, self._store, run)
        except NotStarted as error:
            reason = messages.not_started(str(error))
            self._finish(run, without_report(Verdict.INFRA, reason))
            return POLL_INTERVAL
        log.info("run %d of %s#%d: build %s", run.id, run.repo, run.pr, run.build)
        self._on_change()
        return AFTER_START

    def _note_unavailable(self, number: int, error: CallError) -> None:
        """Publish that Drone does not answer; give up after `start_within`."""
        run = self._store.run(number)
        if run.state != "accepted":
            return
        if time.time() - run.accepted > self._start_within:
            reason = messages.drone_never_answered(self._start_within / 60)
            self._finish(run, without_report(Verdict.INFRA, reason))
        else:
            self._update(run, note=messages.drone_unavailable(error.kind))

    # -- waiting and running

    def _queued(self, run: Run, build: Build) -> float:
        others = [b for b in self._drone.latest() if b.event == "custom" and not b.done]
        position = 1 + sum(b.status == "pending" and b.number < build.number for b in others)
        idle = not any(b.status == "running" for b in others)
        waited = time.time() - run.accepted
        note = messages.waiting_for_runner(waited) if idle and waited > PICKUP_TIMEOUT else run.note
        self._update(run, state="queued", position=position, note=note)
        return POLL_INTERVAL

    def _running(self, run: Run, build: Build, followed: FollowedRun) -> float:
        run = self._update(run, state="running", note="" if run.attempt == 1 else run.note)
        silent = time.monotonic() - followed.last_output
        is_silent = silent > self._silence
        if followed.follower is not None and is_silent and followed.log_length < LOG_CAP:
            self._drone.cancel(build.number)
            self._conclude(run, without_report(Verdict.INFRA, messages.lost(silent / 60)))
            return POLL_INTERVAL
        step = build.work
        if step is not None and step.status == "running" and not self._is_followed(followed):
            followed.follower = threading.Thread(
                target=self._follow, args=(run.id, build.number, step, followed), daemon=True
            )
            if is_silent:
                followed.last_output = time.monotonic()
            followed.follower.start()
        return POLL_INTERVAL

    @staticmethod
    def _is_followed(followed: FollowedRun) -> bool:
        return followed.follower is not None and followed.follower.is_alive()

    def _follow(self, number: int, build: int, step: Step, followed: FollowedRun) -> None:
        """Read the log of a running step to its end; if it breaks off, the next step opens another stream."""
        reader, length = LogReader(), 0
        try:
            for piece in self._drone.follow(build, step):
                if not piece and self._is_over(number, build):
                    return
                if not piece:
                    continue
                followed.last_output = time.monotonic()
                length += len(piece)
                followed.log_length = max(followed.log_length, length)
                if reader.feed(piece):
                    followed.report = reader.report or followed.report
                    self._keep_progress(number, reader.progress)
        except CallError as error:
            log.info("run %d: log stream broke off: %s", number, error)
        followed.due = 0.0
        self._wake()

    def _is_over(self, number: int, build: int) -> bool:
        """Return True if a run has a result, or another build by now."""
        run = self._store.run(number)
        return not run.active or run.build != build

    def _keep_progress(self, number: int, progress: Progress) -> None:
        """Store the progress of a run, unless a stream that replays its beginning is behind."""
        run = self._store.run(number)
        if run.active and len(progress.outcomes) >= len(run.progress.outcomes):
            self._update(run, progress=progress)

    # -- the end

    def _judge(self, run: Run, build: Build, followed: FollowedRun) -> float:
        """Read the whole log of a finished build and judge it."""
        step, has_log = build.work, True
        if step is not None and step.status != "skipped":
            has_log = self._read_log(run, build, step, followed)
        report = followed.report
        log_needed = not has_log and report is None and not run.cancel_reason
        if log_needed and followed.log_tries < MAX_LOG_TRIES:
            followed.log_tries += 1
            return LOG_RETRY_PAUSE * followed.log_tries
        run = self._store.run(run.id)
        self._conclude(run, judge(run, build, run.progress, report))
        return POLL_INTERVAL

    def _read_log(self, run: Run, build: Build, step: Step, followed: FollowedRun) -> bool:
        """Read the uploaded log; return False if it is not there yet."""
        try:
            reader = drone_log.read(self._drone.log(build.number, step))
        except CallError as error:
            if error.kind == "missing":
                return False
            raise
        followed.report = reader.report or followed.report
        if reader.progress.stages:
            self._keep_progress(run.id, reader.progress)
        return True

    def _conclude(self, run: Run, result: Result) -> None:
        """Finish a run, or start it once more after an infrastructure problem."""
        if result.verdict != Verdict.INFRA or run.attempt >= MAX_ATTEMPTS or run.cancel_reason:
            self._finish(run, result)
            return
        log.warning("run %d: retrying after: %s", run.id, result.reason)
        self._followed.pop(run.id, None)
        self._update(
            run,
            state="accepted",
            attempt=run.attempt + 1,
            note=messages.retrying(result.reason),
            build=None,
            last_build_before=None,
            progress=Progress(),
            position=0,
        )

    def _finish(self, run: Run, result: Result) -> None:
        metrics.VERDICTS.labels(run.lane, result.verdict).inc()
        log.info("run %d of %s#%d: %s %s", run.id, run.repo, run.pr, result.verdict, result.reason)
        self._update(run, state="done", result=result, finished=time.time(), note="")
