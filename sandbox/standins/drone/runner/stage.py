"""Runs the steps of one stage, in their order."""

from __future__ import annotations

import re

from sandbox.standins.drone.pipeline.drone_yml import Step
from sandbox.standins.drone.runner import environment, process
from sandbox.standins.drone.runner.environment import Context
from sandbox.standins.drone.runner.process import CannotStart
from sandbox.standins.drone.runner.script import step_script
from sandbox.standins.drone.runner.workspace import Workspace
from sandbox.standins.drone.server.assignment import Assignment
from sandbox.standins.drone.server.build_service import BuildService

# Exit codes
SKIP_REST = 78  # the step passed and the steps after it are not needed
KILLED = 137
CANNOT_START = 255


class StageRunner:
    """Runs the steps of one stage and reports each of them."""

    def __init__(
        self, builds: BuildService, assignment: Assignment, context: Context, workspace: Workspace
    ) -> None:
        self._builds = builds
        self._assignment = assignment
        self._context = context
        self._workspace = workspace
        self._failed: list[str] = []  # names of steps

    def run(self, steps: list[Step]) -> None:
        """Run the steps and report how the stage finished."""
        for number, step in enumerate(steps, start=1):
            if self._assignment.stopped:
                self._finish("killed", KILLED)
                return
            if not (step.on_failure if self._failed else step.on_success):
                self._builds.step_finished(self._assignment, number, "skipped")
                continue
            try:
                exit_code = self._run_step(number, step)
            except CannotStart as error:
                self._builds.step_finished(
                    self._assignment, number, "error", CANNOT_START, str(error)
                )
                self._finish("error", CANNOT_START, str(error))
                return
            if exit_code is None:
                self._builds.step_finished(self._assignment, number, "killed", KILLED)
                self._finish("killed", KILLED)
                return
            passed = exit_code in (0, SKIP_REST)
            status = "success" if passed else "failure"
            self._builds.step_finished(self._assignment, number, status, exit_code)
            if not passed and not step.failure_ignored:
                self._failed.append(step.name)
            if exit_code == SKIP_REST:
                break
        self._finish("failure" if self._failed else "success")

    def _finish(self, status: str, exit_code: int = 0, error: str = "") -> None:
        self._builds.stage_finished(self._assignment, status, exit_code, error)

    def _run_step(self, number: int, step: Step) -> int | None:
        path = self._workspace.scripts / re.sub(r"[^A-Za-z0-9._-]", "-", step.name)
        path.write_text(step_script(step.commands))
        values = environment.of_step(
            self._context, step.name, number, step.environment, self._failed
        )
        log = self._builds.step_started(self._assignment, number)
        return process.run(self._assignment, path, self._workspace.source, values, log.write)
