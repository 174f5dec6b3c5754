"""Stage restore: destroy the app's data, deploy it on empty volumes, restore the snapshot."""

from __future__ import annotations

import re

from harness.errors import InfraError, RecipeFailure, SuiteFailure
from harness.runs import preflight
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.stages import data, deploy, sentinel
from harness.stages.backup import last_lines
from harness.suites.app import App
from harness.swarm import converge, engine, remove

HOOK_FAILED = re.compile(r"\b(pre|post)[-_ ]?hook\b.*\b(fail|error|exit)", re.IGNORECASE)


def restore(run: Run, app: App) -> None:
    """Destroy the app's data, deploy it again on empty volumes, and restore.

    Raises:
        SuiteFailure: nothing could show that a restore worked: there is neither check nor sentinel, or
            every check passes after the loss.
        RecipeFailure: abra's restore failed, or the app did not come up afterwards.
        InfraError: the volumes could not be emptied.
    """
    deployment = run.deployments[app.domain]
    if not run.suite.checks and not sentinel.mounts(deployment):
        raise SuiteFailure(
            "the backup does not take any whole volume, so no sentinel can be written, and the suite "
            "has no @check: restoring nothing would pass; add a @seed and a @check"
        )
    with run.recorder.phase("restore", app.life):
        data.wreck(run, app)
        lose_everything(run, deployment)
        data.prove_the_loss(run, app)
        with deploy.abra_errors_as_failures("restoring"):
            done = run.abra.app_restore(
                app.domain, timeout=float(run.suite_settings.timeouts.restore)
            )
        app.progress(last_lines(done.text).splitlines()[-1].strip())
        refuse_failed_hooks(done.text)
        deploy.settle(run, deployment, ignore=converge.task_ids(engine.view(app.stack)))
        deploy.healthy(run, app)


def lose_everything(run: Run, deployment: Deployment) -> None:
    """Undeploy, delete the volumes, and deploy the same version with the same secrets.

    Raises:
        InfraError: something could not be removed, so a restore would prove nothing.
    """
    app = deployment.app
    preflight.check_resources(run.settings)
    run.abra.app_undeploy(app.domain)
    left = remove.remove_stack(engine.client(), app.stack, keep_secrets=True, progress=app.progress)
    if left:
        names = ", ".join(f"{item.kind} '{item.name}' ({item.why})" for item in left)
        raise InfraError(f"cannot empty the app before the restore; could not remove {names}")
    with deploy.abra_errors_as_failures("deploying onto emptied volumes"):
        run.abra.app_deploy(app.domain)
    deploy.settle(run, deployment)
    deploy.post_deploy(run, deployment)
    deploy.healthy(run, app)


def refuse_failed_hooks(output: str) -> None:
    """Fail a restore that reports success although a hook failed: the backup bot only logs it (B3).

    Raises:
        RecipeFailure: with the output of the restore, which holds that of the hook.
    """
    if any(HOOK_FAILED.search(line) for line in output.splitlines()):
        raise RecipeFailure(
            "the restore reported success, but a hook of the recipe failed; its output:\n"
            f"    {last_lines(output)}"
        )
