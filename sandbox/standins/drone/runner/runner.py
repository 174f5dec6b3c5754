"""The exec runner: takes stages from the server and runs each in a workspace of its own."""

from __future__ import annotations

import threading
import traceback

from sandbox.standins.drone.pipeline.drone_yml import Pipeline, PipelineError, Step, When, parse
from sandbox.standins.drone.pipeline.substitute import SubstituteError, substitute
from sandbox.standins.drone.runner import environment
from sandbox.standins.drone.runner.environment import Context
from sandbox.standins.drone.runner.script import clone_commands
from sandbox.standins.drone.runner.stage import CANNOT_START, StageRunner
from sandbox.standins.drone.runner.workspace import Workspace
from sandbox.standins.drone.server.assignment import Assignment
from sandbox.standins.drone.server.build_service import BuildService

JOIN_INTERVAL = 0.1  # seconds; short, so that Python handles a signal soon


class Runner:
    """One thread for each stage that may run at the same time."""

    def __init__(self, builds: BuildService) -> None:
        self._builds = builds
        self._root = builds.config.data / "runner"
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(builds.config.capacity)
        ]

    def start(self) -> None:
        """Start to take stages."""
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        """Return when a draining runner has finished its last stage."""
        for thread in self._threads:
            while thread.is_alive():
                thread.join(JOIN_INTERVAL)

    def _work(self) -> None:
        while (assignment := self._builds.take()) is not None:
            workspace = Workspace.create(self._root)
            try:
                self._run(assignment, workspace)
            except Exception as error:  # the stage has to finish whatever goes wrong here
                message = f"stand-in: {error!r}"
                self._builds.stage_finished(assignment, "error", CANNOT_START, message)
                traceback.print_exc()
            finally:
                workspace.remove()
                self._builds.release(assignment)

    def _run(self, assignment: Assignment, workspace: Workspace) -> None:
        context = Context(
            config=self._builds.config,
            repo=assignment.repo,
            build=assignment.build,
            stage=assignment.stage,
            source=workspace.source,
            home=workspace.home,
        )
        try:
            pipeline = _pipeline(context)
        except (SubstituteError, PipelineError) as error:
            self._builds.stage_finished(assignment, "error", CANNOT_START, str(error))
            return
        seed = assignment.build.seed
        steps = [_clone_step(context)]
        steps += [s for s in pipeline.steps if s.when.matches(seed.event, seed.branch)]
        if self._builds.begin(assignment, [(step.name, step.failure_ignored) for step in steps]):
            StageRunner(self._builds, assignment, context, workspace).run(steps)


def _pipeline(context: Context) -> Pipeline:
    text = substitute(context.build.config, environment.for_substitution(context))
    for pipeline in parse(text):
        if pipeline.name == context.stage.name:
            return pipeline
    raise PipelineError("resource not found")


def _clone_step(context: Context) -> Step:
    seed = context.build.seed
    commands = clone_commands(context.repo.clone_url, seed.branch, seed.sha)
    return Step(
        name="clone",
        commands=tuple(commands),
        environment={},
        when=When(),
        on_success=True,
        on_failure=False,
        failure_ignored=False,
    )
