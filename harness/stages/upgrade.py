"""Stage upgrade: the published version (base) becomes the head and keeps its data."""

from __future__ import annotations

from harness.errors import BaseNotDeployable, RecipeFailure, TimedOut
from harness.host import wait
from harness.runs import preflight
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.stages import admission, data, deploy, provision
from harness.suites.app import App
from harness.suites.outcome import NOT_APPLICABLE, HarnessSkip
from harness.swarm import converge, engine, images
from harness.swarm.engine import StackView

ORPHAN_TIMEOUT = 60.0  # seconds for a removed service's tasks to stop


def base(run: Run, app: App) -> None:
    """Deploy the published version that the upgrade starts from, and seed it.

    Raises:
        BaseNotDeployable: it does not come up, which is not the fault of the head.
    """
    if not run.base.ref:
        raise HarnessSkip(f"{NOT_APPLICABLE}{run.base.why_none}")
    try:
        deploy.deploy(run, app, run.base.ref)
        deploy.healthy(run, app)
        data.seed(run, app)
    except (RecipeFailure, TimedOut) as error:
        raise BaseNotDeployable(
            f"the published version {run.base.version} does not deploy: {error}"
        ) from error


def upgrade(run: Run, app: App) -> None:
    """Deploy the head over the published version, as an operator would, and prove that it runs.

    Raises:
        RecipeFailure: the head is refused, rolled back, or not what runs afterwards.
        TimedOut: not settled in time.
        InfraError: the host has too little memory or disk space.
    """
    preflight.check_resources(run.settings)
    published = run.deployments[app.domain]
    before = engine.view(app.stack)
    run.checkout(run.ref)
    with (
        deploy.abra_errors_as_failures("upgrading to the head"),
        run.recorder.phase("upgrade", app.life),
    ):
        admission.admit_checkout(run)
        head = provision.prepare_upgrade(run, published)
        admission.admit_deployment(run, head)
    with run.recorder.phase("pull", app.life):
        images.pull(head.compose.images, progress=app.progress)
    with (
        deploy.abra_errors_as_failures("upgrading to the head"),
        run.recorder.phase("upgrade", app.life),
    ):
        provision.make_secrets(run, head)
        run.abra.app_deploy(app.domain)
        deploy.settle(run, head, ignore=converge.task_ids(before))
        remove_orphans(run, head)
        deploy.post_deploy(run, head)
        deploy.healthy(run, app)
        prove_the_head(run, app)
        prove_a_change(published, head, before)


def remove_orphans(run: Run, head: Deployment) -> None:
    """Remove services that the head's compose files no longer have; `stack deploy` leaves them.

    Raises:
        TimedOut: a removed service did not stop.
    """
    stack, wanted = head.app.stack, {service.name for service in head.compose.services}
    orphans = [s for s in engine.view(stack).services if s.name not in wanted]
    for service in orphans:
        run.recorder.note(f"the head no longer has service '{service.name}': removed")
        engine.client().remove_service(service.id)

    def look() -> wait.Look[bool]:
        left = [s.name for s in engine.view(stack).services if s.name not in wanted]
        return wait.Look(", ".join(left) or "gone", None if left else True)

    wait.until(look, what="dropped services to stop", timeout=ORPHAN_TIMEOUT)


def prove_the_head(run: Run, app: App) -> None:
    """Require the head's own hash on the app's label, read after the update settled.

    Raises:
        RecipeFailure: the label names another commit, or none.
    """
    labels = engine.view(app.stack).service("app").labels
    deployed = labels.get(f"coop-cloud.{app.stack}.chaos-version", "").removesuffix("+U")
    if len(deployed) < 7 or not run.ref.startswith(deployed):
        raise RecipeFailure(
            f"after the upgrade the app's label chaos-version is '{deployed or 'none'}', "
            f"not the head {run.ref[:8]}: the head was never deployed"
        )


def prove_a_change(published: Deployment, head: Deployment, before: StackView) -> None:
    """Refuse an upgrade that claims a new upstream version while every service runs the same image.

    Args:
        published: the version that was deployed before.
        head: the version that is deployed now.
        before: the stack before the upgrade.

    Raises:
        RecipeFailure: names the versions and the images.
    """
    old, new = published.compose.version, head.compose.version
    old_images = {s.name: s.image for s in before.services}
    new_images = {s.name: s.image for s in engine.view(head.app.stack).services}
    claimed = _upstream(old) and _upstream(new) and _upstream(old) != _upstream(new)
    if claimed and old_images == new_images:
        raise RecipeFailure(
            f"the upgrade changed nothing: the version went from {old} to {new}, but every service "
            f"still runs the same image ({', '.join(sorted(set(new_images.values())))})"
        )


def _upstream(version: str | None) -> str:
    return (version or "").partition("+")[2]
