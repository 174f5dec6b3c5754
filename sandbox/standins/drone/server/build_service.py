"""All builds: creates, shows and cancels them, assigns stages to the runner and records its reports."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from sandbox.standins.drone.config import Config, Repo
from sandbox.standins.drone.pipeline.drone_yml import Pipeline
from sandbox.standins.drone.server.assignment import Assignment
from sandbox.standins.drone.server.concurrency import may_start
from sandbox.standins.drone.server.live_log import LiveLog
from sandbox.standins.drone.server.model import Build, Seed, Stage, Step, final_status
from sandbox.standins.drone.server.store import Store

MACHINE = "stand-in"  # name of the runner
CANCEL_REPORT_TIMEOUT = 1.0  # seconds in which the runner of a cancelled build usually reports
MAX_IDLE_WAIT = 60.0  # seconds until an idle runner looks for work again


class BuildService:
    """All builds, behind one lock."""

    def __init__(self, config: Config, store: Store) -> None:
        self.config = config
        self.store = store
        self.draining = False
        self._changed = threading.Condition()
        self._builds = store.builds()
        self._assignments: dict[int, Assignment] = {}  # by stage id
        self._logs: dict[int, LiveLog] = {}  # by step id
        self._not_before: dict[int, float] = {}  # by stage id: monotonic time of the pick-up

    # For the HTTP interface.

    def add(self, repo: Repo, seed: Seed, text: str, pipelines: Sequence[Pipeline]) -> Build:
        """Create a build.

        Args:
            repo: the repository.
            seed: what the build is created from.
            text: the text of `.drone.yml`.
            pipelines: the pipelines of it that the event triggers, a stage each.
        """
        with self._changed:
            build = self._new_build(repo, seed)
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
                self._not_before[stage.id] = time.monotonic() + self.config.pickup_delay
                build.stages.append(stage)
            build.made = build.json(stages=False)
            self._save(build)
            return build

    def add_broken(self, repo: Repo, seed: Seed, error: str) -> Build:
        """Create a build that is an error from the start, with the error's message."""
        with self._changed:
            build = self._new_build(repo, seed)
            build.status, build.error = "error", error
            build.started = build.finished = build.created
            build.made = build.json(stages=False)
            self._save(build)
            return build

    def show(self, build: Build, *, stages: bool = True) -> dict[str, Any]:
        """Return a build's JSON; no other thread changes the build meanwhile."""
        with self._changed:
            return build.json(stages=stages)

    def of_repo(self, repo: Repo, branch: str = "") -> list[Build]:
        """Return the builds of a repository, or of one of its branches, newest first."""
        with self._changed:
            own = [b for b in reversed(self._builds) if b.repo == repo.slug]
        return [b for b in own if not branch or b.seed.branch == branch]

    def build(self, repo: Repo, number: int) -> Build | None:
        """Return the build with this number, None without one."""
        return next((b for b in self.of_repo(repo) if b.number == number), None)

    def cancel(self, build: Build) -> None:
        """Mark a build as killed and stop its stages, unless the setting `lose_cancels` is on."""
        with self._changed:
            if build.done:
                return
            assignments = [
                self._assignments[s.id] for s in build.stages if s.id in self._assignments
            ]
            now = _now()
            for stage in build.stages:
                stage.kill(now)
            build.status, build.finished = "killed", now
            build.started = build.started or now
            for assignment in assignments:
                assignment.cancel_lost = self.config.lose_cancels
                if not assignment.cancel_lost:
                    assignment.cancel()
            self._save(build)
        for assignment in assignments:
            if not assignment.cancel_lost:
                assignment.reported.wait(CANCEL_REPORT_TIMEOUT)

    def timeout_minutes(self, repo: Repo) -> float:
        """Return the timeout of a repository's stages in minutes."""
        found = self.store.timeout(repo.slug)
        return repo.timeout_minutes if found is None else found

    def counter(self, repo: Repo) -> int:
        """Return the number of a repository's last build."""
        builds = self.of_repo(repo)
        return builds[0].number if builds else 0

    # For the runner.

    def take(self) -> Assignment | None:
        """Wait for a stage that may start and return it; None once the runner is draining."""
        with self._changed:
            while not self.draining:
                assignment = self._assign_next()
                if assignment is not None:
                    return assignment
                delays = [at - time.monotonic() for at in self._not_before.values()]
                self._changed.wait(max(min(delays, default=MAX_IDLE_WAIT), 0.0) or None)
            return None

    def drain(self) -> None:
        """Assign no more stages."""
        with self._changed:
            self.draining = True
            self._changed.notify_all()

    def begin(self, assignment: Assignment, steps: Sequence[tuple[str, bool]]) -> bool:
        """Start a stage; return False if it was cancelled before.

        Args:
            assignment: the stage.
            steps: name of each step, and True if its failure is ignored.
        """
        with self._changed:
            if assignment.stage.done:
                return False
            assignment.stage.steps = [
                Step(self.store.next("step"), assignment.stage.id, number, name, ignored)
                for number, (name, ignored) in enumerate(steps, start=1)
            ]
            assignment.stage.status = "running"
            if assignment.build.status == "pending":
                assignment.build.status, assignment.build.started = "running", _now()
                assignment.build.version += 1
            self._save(assignment.build)
            return True

    def step_started(self, assignment: Assignment, number: int) -> LiveLog:
        """Record that a step has started and return its live log."""
        with self._changed:
            step = assignment.stage.steps[number - 1]
            log = self._logs[step.id] = LiveLog()
            if not assignment.stage.done:
                step.status, step.started = "running", _now()
                step.version += 1
                self._save(assignment.build)
            return log

    def step_finished(
        self, assignment: Assignment, number: int, status: str, exit_code: int = 0, error: str = ""
    ) -> None:
        """Record how a step finished, and save its log."""
        with self._changed:
            step = assignment.stage.steps[number - 1]
            log = self._logs.pop(step.id, None)
        if log is not None:
            self.store.save_log(step.id, log.close())
        with self._changed:
            if assignment.cancel_lost:
                return
            step.status, step.exit_code, step.error = status, exit_code, error
            step.stopped = _now()
            step.started = step.started or step.stopped
            step.version += 1
            self._save(assignment.build)

    def stage_finished(
        self, assignment: Assignment, status: str, exit_code: int = 0, error: str = ""
    ) -> None:
        """Record how a stage finished; its steps that have not started are skipped."""
        with self._changed:
            stage, build, now = assignment.stage, assignment.build, _now()
            if not assignment.cancel_lost and not (stage.done and not assignment.cancelled):
                stage.skip_pending_steps(now)
                stage.status, stage.exit_code, stage.error = status, exit_code, error
                stage.stopped = stage.updated = now
                stage.version += 1
                build.started = build.started or stage.started
                if not build.done and all(s.done for s in build.stages):
                    build.status, build.finished = final_status(build.stages), now
                    build.version += 1
                self._save(build)
            assignment.reported.set()

    def release(self, assignment: Assignment) -> None:
        """Record that the runner is done with a stage and has capacity for another."""
        with self._changed:
            self._assignments.pop(assignment.stage.id, None)
            assignment.reported.set()
            self._changed.notify_all()

    def live_log(self, step: Step) -> LiveLog | None:
        """Return the live log of a step, None if it does not run."""
        with self._changed:
            return self._logs.get(step.id)

    def _assign_next(self) -> Assignment | None:
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
            if repo is None or stage.status != "pending" or stage.id in self._assignments:
                continue
            if self._not_before.get(stage.id, 0.0) > time.monotonic():
                continue
            if not may_start(stage, stages):
                continue
            self._not_before.pop(stage.id, None)
            assignment = self._assignments[stage.id] = Assignment(
                repo, build, stage, self.timeout_minutes(repo)
            )
            stage.machine, stage.started = MACHINE, _now()
            stage.version += 1
            return assignment
        return None

    def _new_build(self, repo: Repo, seed: Seed) -> Build:
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

    def _save(self, build: Build) -> None:
        self.store.save(build)
        self._changed.notify_all()


def _now() -> int:
    return int(time.time())
