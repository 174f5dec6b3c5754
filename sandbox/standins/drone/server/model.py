"""Builds, their stages and steps, and the JSON in which Drone shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DONE = ("success", "failure", "killed", "error", "skipped")
SIGINT_EXIT = 130  # exit code that Drone itself gives to a step it cancels
WORST_FIRST = ("killed", "error", "failure")  # one such stage gives the build its status


@dataclass(slots=True)
class Step:
    """One step of a stage; times are Unix seconds, 0 for not yet."""

    id: int
    stage_id: int
    number: int
    name: str
    ignored: bool = False  # its failure does not count
    status: str = "pending"
    error: str = ""
    exit_code: int = 0
    started: int = 0
    stopped: int = 0
    version: int = 1

    def json(self) -> dict[str, Any]:
        """Return the step as Drone shows it: empty fields are left out, except the exit code."""
        return {
            "id": self.id,
            "step_id": self.stage_id,
            "number": self.number,
            "name": self.name,
            "status": self.status,
            **_set(error=self.error, errignore=self.ignored),
            "exit_code": self.exit_code,
            **_set(started=self.started, stopped=self.stopped),
            "version": self.version,
        }


@dataclass(slots=True)
class Stage:
    """One pipeline of a build."""

    id: int
    repo_id: int
    build_id: int
    number: int
    name: str
    limit: int
    created: int
    status: str = "pending"
    error: str = ""
    exit_code: int = 0
    machine: str = ""
    started: int = 0
    stopped: int = 0
    updated: int = 0
    version: int = 1
    steps: list[Step] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """True if it has finished, successfully or not."""
        return self.status in DONE

    def kill(self, now: int) -> None:
        """Mark the stage and its steps as a cancel does: killed if they run, skipped if they wait."""
        if self.status == "pending":
            self.status = "skipped"
            self.started = self.started or now
            self.stopped = now
        elif self.status == "running":
            for step in self.steps:
                if step.status == "running":
                    step.status, step.exit_code, step.stopped = "killed", SIGINT_EXIT, now
                    step.version += 1
            self.skip_pending_steps(now)
            self.status, self.stopped = "killed", now
        self.version += 1

    def skip_pending_steps(self, now: int) -> None:
        """Mark the steps that have not started as skipped."""
        for step in self.steps:
            if step.status == "pending":
                step.status, step.started, step.stopped = "skipped", now, now
                step.version += 1

    def step(self, number: int) -> Step | None:
        """Return the step with this number, None without one."""
        return next((step for step in self.steps if step.number == number), None)

    def json(self) -> dict[str, Any]:
        """Return the stage as Drone shows it."""
        return {
            "id": self.id,
            "repo_id": self.repo_id,
            "build_id": self.build_id,
            "number": self.number,
            "name": self.name,
            "kind": "pipeline",
            "type": "exec",
            "status": self.status,
            **_set(error=self.error),
            "errignore": False,
            "exit_code": self.exit_code,
            **_set(machine=self.machine),
            "os": "linux",
            "arch": "amd64",
            **_set(limit=self.limit),
            "started": self.started,
            "stopped": self.stopped,
            "created": self.created,
            "updated": self.updated or self.created,
            "version": self.version,
            "on_success": True,
            "on_failure": False,
            **_set(steps=[step.json() for step in self.steps]),
        }


@dataclass(frozen=True, slots=True)
class Seed:
    """What a build is created from: the commit, the event, the user and the parameters."""

    event: str
    trigger: str
    sender: str
    branch: str
    sha: str
    before: str
    link: str
    message: str
    action: str = ""
    parent: int = 0
    author_login: str = ""
    author_name: str = ""
    author_email: str = ""
    author_avatar: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Build:
    """One build."""

    id: int
    repo: str
    repo_id: int
    number: int
    seed: Seed
    created: int
    config: str = ""  # the text of .drone.yml
    status: str = "pending"
    error: str = ""
    started: int = 0
    finished: int = 0
    version: int = 1
    stages: list[Stage] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)  # the response to its creation

    @property
    def done(self) -> bool:
        """True if it has finished, successfully or not."""
        return self.status in DONE

    @property
    def ref(self) -> str:
        """Full name of the branch in git."""
        return f"refs/heads/{self.seed.branch}"

    def stage(self, number: int) -> Stage | None:
        """Return the stage with this number, None without one."""
        return next((stage for stage in self.stages if stage.number == number), None)

    def json(self, *, stages: bool = True) -> dict[str, Any]:
        """Return the build as Drone shows it.

        Args:
            stages: False for a list of builds and for the response to a creation.
        """
        seed = self.seed
        broken = bool(self.error)  # such a build keeps neither the user nor the parameters
        return {
            "id": self.id,
            "repo_id": self.repo_id,
            "trigger": "" if broken else seed.trigger,
            "number": self.number,
            **_set(parent=seed.parent),
            "status": self.status,
            **_set(error=self.error),
            "event": seed.event,
            "action": seed.action,
            "link": seed.link,
            "timestamp": 0,
            "message": seed.message,
            "before": seed.before,
            "after": seed.sha,
            "ref": self.ref,
            "source_repo": "",
            "source": seed.branch,
            "target": seed.branch,
            "author_login": seed.author_login,
            "author_name": seed.author_name,
            "author_email": seed.author_email,
            "author_avatar": seed.author_avatar,
            "sender": seed.sender,
            **_set(params={} if broken else dict(sorted(seed.params.items()))),
            "started": self.started,
            "finished": self.finished,
            "created": self.created,
            "updated": max(self.created, self.started),
            "version": self.version,
            **_set(stages=[stage.json() for stage in self.stages] if stages else []),
        }


def build_from_fields(found: Mapping[str, Any]) -> Build:
    """Return a build from its stored fields, as `dataclasses.asdict` wrote them."""
    stages = [
        Stage(**{**stage, "steps": [Step(**step) for step in stage["steps"]]})
        for stage in found["stages"]
    ]
    return Build(**{**found, "seed": Seed(**found["seed"]), "stages": stages})


def final_status(stages: list[Stage]) -> str:
    """Return the status of a build whose stages are all done."""
    seen = {stage.status for stage in stages}
    return next((status for status in WORST_FIRST if status in seen), "success")


def _set(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
