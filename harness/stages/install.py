"""Stage install: the head deploys on empty state, answers (`deploy.healthy`) and takes data (`data.seed`)."""

from __future__ import annotations

from harness.runs.run import Run
from harness.stages import deploy
from harness.suites.app import App


def install(run: Run, app: App) -> None:
    """Deploy the head on empty state and wait until it has settled.

    Raises:
        RecipeFailure, TimedOut, InfraError: as `deploy.deploy`.
    """
    deploy.deploy(run, app, run.ref)
