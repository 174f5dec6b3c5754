"""The server's part: every build, who may take one, and what is reported about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from sandbox.standins.drone.config import Config, Repo
from sandbox.standins.drone.pipeline.drone_yml import Pipeline
from sandbox.standins.drone.server.concurrency import may_start
from sandbox.standins.drone.server.live_log import LiveLog
from sandbox.standins.drone.server.model import Build, Seed, Stage, Step, outcome
from sandbox.standins.drone.server.store import Store

MACHINE = "stand-in"
HEARD = 1.0  # seconds in which a cancelled runner has usually reported


class Turn:
    """A stage that the runner holds."""

    def __init__(self, repo: Repo, build: Build, stage: Stage, minutes: float) -> None:
        self.repo = repo
        self.build = build
        self.stage = stage
        self.minutes = minutes
        self.deadline = time.monotonic() + minutes * 60
        self.cancelled = False
        self.lost = False  # cancelled, but the runner never heard of it
        self.news = threading.Event()  # something changed: look again
        self.over = threading.Event()  # the stage's end was reported

    @property
    def stopped(self) -> bool:
        """Whether its steps must end now."""
        return self.cancelled or self.seconds_left == 0.0

    @property
    def seconds_left(self) -> float:
        """The time until its deadline."""
        return max(self.deadline - time.monotonic(), 0.0)

    def cancel(self) -> None:
        """Tell the runner to stop."""
        self.cancelled = True
        self.news.set()


class Server:
    """All builds, behind one lock."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.draining = False
        self._changed = threading.Condition()
        self._builds = store.builds()
        self._turns: dict[int, Turn] = {}  # by stage id
        self._logs: dict[int, LiveLog] = {}  # by step id
        self._ready: dict[int, float] = {}  # by stage id: not before this time

    # builds: made, found, cancelled

    def add(self, repo: Repo, seed: Seed, text: str, pipelines: Sequence[Pipeline]) -> Build:
        """Make a build of these pipelines."""
        with self._changed:
            build = self._new(repo, seed)
            build.config = text
            for number, pipeline in enumerate(pipelines, start=1):
                stage = Stage(
                    id=self.store.next("stage"),
                    repo_id=repo.id,
                    build_id=build.id,
                    number=number,
                    name=pipeline.name,
                    limit=pipeline.limit,
                    created=build.created,
                )
                self._ready[stage.id] = time.monotonic() + self.config.pickup_delay
                build.stages.append(stage)
            build.made = build.json(stages=False)
            self._keep(build)
            return build

    def add_broken(self, repo: Repo, seed: Seed, error: str) -> Build:
        """Make a build that ended before it began."""
        with self._changed:
            build = self._new(repo, seed)
            build.status, build.error = "error", error
            build.started = build.finished = build.created
            build.made = build.json(stages=False)
            self._keep(build)
            return build

    def show(self, build: Build, *, stages: bool = True) -> dict[str, Any]:
        """Return a build's JSON, as of one moment."""
        with self._changed:
            return build.json(stages=stages)

    def builds(self, repo: Repo, branch: str = "") -> list[Build]:
        """Return a repository's builds, newest first."""
        with self._changed:
            own = [b for b in reversed(self._builds) if b.repo == repo.slug]
        return [b for b in own if not branch or b.seed.branch == branch]

    def build(self, repo: Repo, number: int) -> Build | None:
        """Return the build of a number."""
        return next((b for b in self.builds(repo) if b.number == number), None)

    def cancel(self, build: Build) -> None:
        """Mark a build killed and tell its runner, unless the setting says that this gets lost."""
        with self._changed:
            if build.done:
                return
            turns = [self._turns[s.id] for s in build.stages if s.id in self._turns]
            now = _now()
            for stage in build.stages:
                _kill(stage, now)
            build.status, build.finished = "killed", now
            build.started = build.started or now
            for turn in turns:
                turn.lost = self.config.lose_cancels
                if not turn.lost:
                    turn.cancel()
            self._keep(build)
        for turn in turns:
            if not turn.lost:
                turn.over.wait(HEARD)

    def timeout(self, repo: Repo) -> float:
        """Return a repository's time-out in minutes."""
        found = self.store.timeout(repo.slug)
        return repo.timeout_minutes if found is None else found

    def counter(self, repo: Repo) -> int:
        """Return the number of a repository's last build."""
        builds = self.builds(repo)
        return builds[0].number if builds else 0

    # what the runner does

    def take(self) -> Turn | None:
        """Return the next stage to run, when there is one; None once the runner drains."""
        with self._changed:
            while not self.draining:
                turn = self._next_turn()
                if turn is not None:
                    return turn
                waits = [at - time.monotonic() for at in self._ready.values()]
                self._changed.wait(max(min(waits, default=60.0), 0.0) or None)
            return None

    def drain(self) -> None:
        """Hand out no more work."""
        with self._changed:
            self.draining = True
            self._changed.notify_all()

    def begin(self, turn: Turn, steps: Sequence[tuple[str, bool]]) -> bool:
        """Enter the steps (name, failure ignored) of a stage; False if it was cancelled before."""
        with self._changed:
            if turn.stage.done:
                return False
            turn.stage.steps = [
                Step(self.store.next("step"), turn.stage.id, number, name, ignored)
                for number, (name, ignored) in enumerate(steps, start=1)
            ]
            turn.stage.status = "running"
            if turn.build.status == "pending":
                turn.build.status, turn.build.started = "running", _now()
                turn.build.version += 1
            self._keep(turn.build)
            return True

    def step_started(self, turn: Turn, number: int) -> LiveLog:
        """Note that a step runs; return its live log."""
        with self._changed:
            step = turn.stage.steps[number - 1]
            log = self._logs[step.id] = LiveLog()
            if not turn.stage.done:
                step.status, step.started = "running", _now()
                step.version += 1
                self._keep(turn.build)
            return log

    def step_ended(
        self, turn: Turn, number: int, status: str, exit_code: int = 0, error: str = ""
    ) -> None:
        """Note how a step ended and keep its log."""
        with self._changed:
            step = turn.stage.steps[number - 1]
            log = self._logs.pop(step.id, None)
        if log is not None:
            self.store.save_log(step.id, log.close())
        with self._changed:
            if turn.lost:
                return
            step.status, step.exit_code, step.error = status, exit_code, error
            step.stopped = _now()
            step.started = step.started or step.stopped
            step.version += 1
            self._keep(turn.build)

    def stage_ended(self, turn: Turn, status: str, exit_code: int = 0, error: str = "") -> None:
        """Note how a stage ended; what had not begun is skipped."""
        with self._changed:
            stage, build, now = turn.stage, turn.build, _now()
            if not turn.lost and not (stage.done and not turn.cancelled):
                _skip(stage, now)
                stage.status, stage.exit_code, stage.error = status, exit_code, error
                stage.stopped = stage.updated = now
                stage.version += 1
                build.started = build.started or stage.started
                if not build.done and all(s.done for s in build.stages):
                    build.status, build.finished = outcome(build.stages), now
                    build.version += 1
                self._keep(build)
            turn.over.set()

    def release(self, turn: Turn) -> None:
        """Note that the runner has a place free again."""
        with self._changed:
            self._turns.pop(turn.stage.id, None)
            turn.over.set()
            self._changed.notify_all()

    # logs

    def live_log(self, step: Step) -> LiveLog | None:
        """Return the log of a running step."""
        with self._changed:
            return self._logs.get(step.id)

    def _next_turn(self) -> Turn | None:
        undone = [
            (build, stage)
            for build in self._builds
            if not build.done
            for stage in build.stages
            if not stage.done
        ]
        stages = [stage for _, stage in undone]
        for build, stage in undone:
            repo = self.config.repos.get(build.repo)
            if repo is None or stage.status != "pending" or stage.id in self._turns:
                continue
            if self._ready.get(stage.id, 0.0) > time.monotonic():
                continue
            if not may_start(stage, stages):
                continue
            self._ready.pop(stage.id, None)
            turn = self._turns[stage.id] = Turn(repo, build, stage, self.timeout(repo))
            stage.machine, stage.started = MACHINE, _now()
            stage.version += 1
            return turn
        return None

    def _new(self, repo: Repo, seed: Seed) -> Build:
        build = Build(
            id=self.store.next("build"),
            repo=repo.slug,
            repo_id=repo.id,
            number=self.store.next(f"build of {repo.slug}"),
            seed=seed,
            created=_now(),
        )
        self._builds.append(build)
        return build

    def _keep(self, build: Build) -> None:
        self.store.save(build)
        self._changed.notify_all()


def _kill(stage: Stage, now: int) -> None:
    if stage.status == "pending":
        stage.status = "skipped"
        stage.started = stage.started or now
        stage.stopped = now
    elif stage.status == "running":
        for step in stage.steps:
            if step.status == "running":
                step.status, step.exit_code, step.stopped = "killed", 130, now
                step.version += 1
        _skip(stage, now)
        stage.status, stage.stopped = "killed", now
    stage.version += 1


def _skip(stage: Stage, now: int) -> None:
    for step in stage.steps:
        if step.status == "pending":
            step.status, step.started, step.stopped = "skipped", now, now
            step.version += 1


def _now() -> int:
    return int(time.time())
