"""Stage backup: the snapshot holds what the recipe's labels promise."""

from __future__ import annotations

import time

from harness.errors import RecipeFailure
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.stages import deploy
from harness.suites.app import App
from harness.suites.outcome import NOT_APPLICABLE, HarnessSkip
from harness.swarm import backup as snapshots
from harness.swarm import converge, engine
from harness.swarm.backup import VOLUMES, Expected

SHOWN_LINES = 12  # last lines of abra's output in a failure


def back_up(run: Run, app: App) -> str:
    """Back the app up and prove with restic that the snapshot holds what it should.

    Returns:
        The snapshot's short id.

    Raises:
        RecipeFailure: abra failed, or the snapshot lacks something; names what.
    """
    deployment = run.deployments[app.domain]
    if not deployment.compose.is_backup_capable:
        raise HarnessSkip(f"{NOT_APPLICABLE}no service of this version has a backup label")
    deploy.settle(run, deployment, ignore=converge.task_ids(engine.view(app.stack)))
    with run.recorder.phase("backup", app.life):
        since = time.time()
        with deploy.abra_errors_as_failures("backing up"):
            done = run.abra.app_backup_create(
                app.domain, timeout=float(run.suite_settings.timeouts.backup)
            )
        try:
            return snapshots.verify(app.stack, expected_in_snapshot(deployment), since)
        except RecipeFailure as error:
            raise RecipeFailure(
                f"{error}\n  output of the backup:\n    {last_lines(done.text)}"
            ) from None


def expected_in_snapshot(deployment: Deployment) -> list[Expected]:
    """Return every path that the recipe's backup labels promise for this app."""
    expected = []
    for covered in deployment.compose.covered:
        root = f"{VOLUMES}/{deployment.app.stack}_{covered.volume}/_data"
        if covered.paths is None:
            expected.append(Expected(root, dump=False))
        for path in covered.paths or ():
            expected.append(Expected(f"{root}/{path}", dump=covered.hook is not None))
    return expected


def last_lines(output: str) -> str:
    """Return the last lines of a command's output, indented for a message."""
    lines = [line.rstrip() for line in output.strip().splitlines()] or ["(nothing)"]
    return "\n    ".join(lines[-SHOWN_LINES:])
