"""Deploying one version on empty state: admit, deploy, settle, post-deploy commands, health."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from harness.errors import RecipeFailure, TimedOut
from harness.host import wait
from harness.runs import preflight
from harness.runs.deployment import Deployment
from harness.runs.run import Run
from harness.stages import admission, provision
from harness.suites.app import App
from harness.swarm import containers, converge, engine, images, probe, route
from harness.swarm.abra import AbraFailed

POLL_INTERVAL = 0.1  # seconds between two looks at the Swarm; each takes ten milliseconds of work
STABLE_WINDOW = 1.0  # seconds a stack must stay settled; one window for all services together
ROUTER_TIMEOUT = 20.0  # seconds; Traefik asks Swarm every 15 s by default
LOG_LINES = 15  # last log lines of a service in a failure


@contextmanager
def abra_errors_as_failures(doing: str) -> Iterator[None]:
    """Turn an error of abra into a failure of the recipe: an operator could not use it either."""
    try:
        yield
    except AbraFailed as error:
        raise RecipeFailure(f"{doing} failed: {error}") from error


def deploy(run: Run, app: App, ref: str) -> Deployment:
    """Deploy the recipe at one commit on empty state and wait until it has settled.

    Args:
        run: the run; its checkout moves to the commit.
        app: a registered app, of which nothing exists yet.
        ref: the commit.

    Raises:
        RecipeFailure: the version is refused, abra failed, or the services did not come up.
        TimedOut: not settled within the time of the recipe or the suite.
        InfraError: the host has too little memory or disk space.
    """
    preflight.check_resources(run.settings)
    run.checkout(ref)
    with (
        abra_errors_as_failures(f"creating an app of '{run.recipe}'"),
        run.recorder.phase("deploy", app.life),
    ):
        admission.admit_checkout(run)
        run.abra.app_new(run.recipe, app.domain)
        deployment = provision.prepare(run, app)
        admission.admit_deployment(run, deployment)
        admission.warn(run, deployment)
    with run.recorder.phase("pull", app.life):
        images.pull(deployment.compose.images, progress=app.progress)
    with (
        abra_errors_as_failures(f"deploying '{run.recipe}'"),
        run.recorder.phase("deploy", app.life),
    ):
        provision.make_secrets(run, deployment)
        run.abra.app_deploy(app.domain)
        settle(run, deployment)
        post_deploy(run, deployment)
    return deployment


def settle(run: Run, deployment: Deployment, *, ignore: frozenset[str] = frozenset()) -> None:
    """Wait until every service runs its current spec, for one window shared by all of them.

    Args:
        run: the run; restarts on the way are noted in its report.
        deployment: what is to settle.
        ignore: ids of tasks that belong to an earlier deployment and do not count as restarts.

    Raises:
        RecipeFailure: a crash loop, a rejected task or a rollback, with the last log lines.
        TimedOut: not settled in time, with the last log lines.
    """
    app = deployment.app
    history = converge.History(ignore=ignore)
    wanted = len(deployment.compose.services)

    def look() -> wait.Look[bool]:
        view = engine.view(app.stack)
        good = converge.look(view, history, wanted=wanted)
        return wait.Look(converge.describe(view), True if good else None)

    try:
        wait.until(
            look,
            what=f"the services of '{app.recipe}' to settle",
            timeout=deploy_timeout(run, deployment),
            every=POLL_INTERVAL,
            stable=STABLE_WINDOW,
            progress=app.progress,
        )
    except (RecipeFailure, TimedOut) as error:
        service = error.service if isinstance(error, converge.CrashLoop) else _unsettled(app)
        if service:
            error.add_log(service, containers.logs(app.stack, service, lines=LOG_LINES))
        raise
    for service, count in history.restarts().items():
        run.recorder.note(
            f"service '{service}' restarted {count} time(s) before it settled ({app.life})"
        )


def deploy_timeout(run: Run, deployment: Deployment) -> float:
    """Return how long a deployment may take, in seconds: the larger of the recipe's and the suite's value."""
    return float(max(deployment.compose.timeout or 0, run.suite_settings.timeouts.deploy))


def _unsettled(app: App) -> str:
    view = engine.view(app.stack)
    return next((s.name for s in view.services if not converge.settled(s)), "")


def post_deploy(run: Run, deployment: Deployment) -> None:
    """Run the recipe's POST_DEPLOY_CMDS, which abra leaves out when it does not wait itself."""
    app = deployment.app
    for command in deployment.post_deploy_commands():
        app.progress(f"post-deploy command: {command.service} {command.function}")
        run.abra.app_cmd(app.domain, command.service, command.function, command.arguments)


def healthy(run: Run, app: App) -> None:
    """Wait until the app itself answers on its route with one of the statuses its suite accepts.

    Raises:
        RecipeFailure: the proxy still answers itself, or the last answer had another status.
    """
    health = run.suite_settings.health
    last: list[RecipeFailure] = []
    router_deadline = time.monotonic() + ROUTER_TIMEOUT

    def look() -> wait.Look[bool]:
        try:
            answer = app.get(health.path, status=tuple(health.statuses), timeout=5.0)
        except RecipeFailure as error:
            last[:] = [error]
            if isinstance(error, route.ProxyAnswered) and time.monotonic() > router_deadline:
                _refuse_unrouted(run, app)
            return wait.Look(str(error).splitlines()[0][:200])
        return wait.Look(f"route answers {answer.status_code}", True)

    with run.recorder.phase("health", app.life):
        timeout = float(run.suite_settings.timeouts.health)
        try:
            wait.until(look, what="the app to answer", timeout=timeout, progress=app.progress)
        except TimedOut:
            raise last[0] if last else RecipeFailure("the app did not answer") from None
        for target in run.suite_settings.probes.tcp:
            _wait_for_port(app, target, timeout)


def _wait_for_port(app: App, target: str, timeout: float) -> None:
    """Wait until a port that the suite names accepts connections; the route may answer without it."""
    try:
        find = partial(probe.address, app.stack, target)
        probe.until_ready(find, what=f"'{target}'", timeout=timeout, progress=app.progress)
    except TimedOut as error:
        raise RecipeFailure(
            f"the app answers on its route, but not all of it is up: {error}"
        ) from None


def _refuse_unrouted(run: Run, app: App) -> None:
    """Give up if the proxy has no router for the app at all.

    Raises:
        ProxyAnswered: names what to check in the recipe.
    """
    if run.settings.proxy_api and not route.routers(run.settings, app.domain):
        raise route.ProxyAnswered(
            f"the proxy has no router for '{app.domain}', so it answers itself: "
            "check the Traefik labels of the web service (enable, rule, network)"
        )
