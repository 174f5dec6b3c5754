"""The exec runner's part: takes stages, makes their folders, runs their steps one by one."""

from __future__ import annotations

import re
import secrets
import shutil
import string
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.drone.pipeline.drone_yml import Pipeline, PipelineError, Step, When, read
from sandbox.standins.drone.pipeline.substitute import SubstituteError, substitute
from sandbox.standins.drone.runner import environment, process
from sandbox.standins.drone.runner.environment import Context
from sandbox.standins.drone.runner.process import CannotStart
from sandbox.standins.drone.runner.script import clone, script
from sandbox.standins.drone.server.build_service import Server, Turn

SKIP_REST = 78  # exit status: passed, and the steps that follow are not needed
KILLED = 137
CANNOT_START = 255
LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one stage, made anew and removed at its end."""

    root: Path

    @property
    def home(self) -> Path:
        """What HOME says."""
        return self.root / "home/drone"

    @property
    def source(self) -> Path:
        """Where the clone is."""
        return self.root / "drone/src"

    @property
    def scripts(self) -> Path:
        """Where the steps' scripts are."""
        return self.root / "opt"

    @classmethod
    def make(cls, parent: Path) -> Workspace:
        """Make the folders under a random name."""
        made = cls(parent / f"drone-{''.join(secrets.choice(LETTERS) for _ in range(16))}")
        made.root.mkdir(parents=True)
        for folder in (made.home.parent, made.home, made.source.parent, made.source, made.scripts):
            folder.mkdir(mode=0o700)
        return made

    def remove(self) -> None:
        """Remove them, whoever still uses them."""
        shutil.rmtree(self.root, ignore_errors=True)


class Runner:
    """As many threads as the capacity says, each with one stage at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._root = server.config.data / "runner"
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(server.config.capacity)
        ]

    def start(self) -> None:
        """Begin to take work."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return when a draining runner has ended its last stage."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.1)  # short, so that a signal is heard

    def _work(self) -> None:
        while (turn := self._server.take()) is not None:
            workspace = Workspace.make(self._root)
            try:
                self._run(turn, workspace)
            except Exception as error:  # a stage must end, whatever happens here
                self._server.stage_ended(turn, "error", CANNOT_START, f"stand-in: {error!r}")
                traceback.print_exc()
            finally:
                workspace.remove()
                self._server.release(turn)

    def _run(self, turn: Turn, workspace: Workspace) -> None:
        context = Context(
            config=self._server.config,
            repo=turn.repo,
            build=turn.build,
            stage=turn.stage,
            source=workspace.source,
            home=workspace.home,
        )
        try:
            pipeline = _pipeline(context)
        except (SubstituteError, PipelineError) as error:
            self._server.stage_ended(turn, "error", CANNOT_START, str(error))
            return
        seed = turn.build.seed
        steps = [_clone(context)]
        steps += [s for s in pipeline.steps if s.when.holds(seed.event, seed.branch)]
        if self._server.begin(turn, [(step.name, step.ignored) for step in steps]):
            Stage(self._server, turn, context, workspace).run(steps)


class Stage:
    """The steps of one stage, in their order."""

    def __init__(self, server: Server, turn: Turn, context: Context, workspace: Workspace) -> None:
        self._server = server
        self._turn = turn
        self._context = context
        self._workspace = workspace
        self._failed: list[str] = []

    def run(self, steps: list[Step]) -> None:
        """Run them and report the stage's end."""
        for number, step in enumerate(steps, start=1):
            if self._turn.stopped:
                self._server.stage_ended(self._turn, "killed", KILLED)
                return
            if not (step.on_failure if self._failed else step.on_success):
                self._server.step_ended(self._turn, number, "skipped")
                continue
            try:
                status = self._step(number, step)
            except CannotStart as error:
                self._server.step_ended(self._turn, number, "error", CANNOT_START, str(error))
                self._server.stage_ended(self._turn, "error", CANNOT_START, str(error))
                return
            if status is None:
                self._server.step_ended(self._turn, number, "killed", KILLED)
                self._server.stage_ended(self._turn, "killed", KILLED)
                return
            passed = status in (0, SKIP_REST)
            outcome = "success" if passed else "failure"
            self._server.step_ended(self._turn, number, outcome, status)
            if not passed and not step.ignored:
                self._failed.append(step.name)
            if status == SKIP_REST:
                break
        self._server.stage_ended(self._turn, "failure" if self._failed else "success")

    def _step(self, number: int, step: Step) -> int | None:
        path = self._workspace.scripts / re.sub(r"[^A-Za-z0-9._-]", "-", step.name)
        path.write_text(script(step.commands))
        values = environment.of_step(
            self._context, step.name, number, step.environment, self._failed
        )
        log = self._server.step_started(self._turn, number)
        return process.run(self._turn, path, self._workspace.source, values, log.write)


def _pipeline(context: Context) -> Pipeline:
    text = substitute(context.build.config, environment.for_substitution(context))
    for pipeline in read(text):
        if pipeline.name == context.stage.name:
            return pipeline
    raise PipelineError("resource not found")


def _clone(context: Context) -> Step:
    seed = context.build.seed
    commands = clone(context.repo.clone_url, seed.branch, seed.sha)
    return Step("clone", tuple(commands), {}, When(), True, False, False)
