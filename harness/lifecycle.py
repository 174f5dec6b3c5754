"""The verbs of a life: deploy, settle, seed, back up, wreck, restore, upgrade, tear down.

Each verb is what one stage does. What the recipe did wrong is raised as a `RecipeFailure`, so that a
broken recipe is a failed test; our own trouble keeps its class and makes an error.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from harness.errors import (
    BaseNotDeployable,
    CcCiError,
    InfraError,
    RecipeFailure,
    SuiteFailure,
    TimedOut,
)
from harness.host import wait
from harness.recipe import post_deploy as recipe
from harness.recipe.env_file import EnvFile
from harness.runs import preflight
from harness.runs.run import Run
from harness.stages import admission, provision, sentinel
from harness.stages import recipe_tests as own_tests
from harness.suites.app import App
from harness.suites.outcome import NOT_APPLICABLE, Declared
from harness.swarm import backup, containers, converge, engine, images, probe, remove, route
from harness.swarm.abra import AbraFailed

EVERY = 0.1  # seconds between two looks at the Swarm; ten milliseconds of work each
WINDOW = 1.0  # seconds a stack must stay settled; one window shared by all services
ROUTER_PATIENCE = 20.0  # seconds; Traefik asks Swarm every 15 s by default
HOOK_FAILED = re.compile(r"\b(pre|post)[-_ ]?hook\b.*\b(fail|error|exit)", re.IGNORECASE)
NO_OP_WINDOW = 1.0  # seconds in which a redeploy would start its first task; measured 0.1 s


@contextmanager
def blaming_the_recipe(doing: str) -> Iterator[None]:
    """Turn abra's refusal into a failure of the recipe: what abra rejects, an operator cannot use."""
    try:
        yield
    except AbraFailed as error:
        raise RecipeFailure(f"{doing} failed: {error}") from error


def lint(run: Run) -> None:
    """Run abra's lint on the head; error-level rules that do not hold are failures.

    Raises:
        RecipeFailure: names each rule, or what abra may not even read.
    """
    admission.admit_checkout(run)
    with blaming_the_recipe(f"linting '{run.recipe}'"), run.recorder.phase("lint"):
        result = run.abra.recipe_lint(run.recipe)
    for line in result.warned:
        run.recorder.note(f"lint warns: {line}")
    if result.failed:
        raise RecipeFailure(
            f"abra's lint finds {len(result.failed)} broken rule(s): " + "; ".join(result.failed)
        )


def deploy(run: Run, app: App, ref: str) -> None:
    """Deploy the recipe at one commit on empty state and wait until it settled.

    Raises:
        RecipeFailure: abra refused, or the services did not come up.
        TimedOut: not settled within the recipe's own or the suite's time.
        InfraError: the host has no room for it.
    """
    preflight.enough(run.settings)
    run.checkout(ref)
    with (
        blaming_the_recipe(f"making an app of '{run.recipe}'"),
        run.recorder.phase("deploy", app.life),
    ):
        admission.admit_checkout(run)
        run.abra.app_new(run.recipe, app.domain)
        provision.write_env(run, app)
        admission.admit_app(run, app)
        admission.warn(run, app)
    with run.recorder.phase("pull", app.life):
        images.pull(provision.images(run), progress=app.progress)
    with blaming_the_recipe(f"deploying '{run.recipe}'"), run.recorder.phase("deploy", app.life):
        provision.make_secrets(run, app)
        run.abra.app_deploy(app.domain)
        settle(run, app)
        post_deploy(run, app)


def install(run: Run, app: App) -> None:
    """Deploy the head on empty state; the proxy must learn of it too.

    Raises:
        RecipeFailure, TimedOut: as `deploy`.
    """
    deploy(run, app, run.ref)


def settle(run: Run, app: App, *, ignore: frozenset[str] = frozenset()) -> None:
    """Wait until every service runs as its current spec wants, for one shared window.

    ignore: ids of tasks that ended before and say nothing about this deployment.

    Raises:
        RecipeFailure: a crash loop, a rejected task or a rollback, with the last log lines.
        TimedOut: not settled in time.
    """
    history = converge.History(ignore=ignore)
    wanted = len(provision.compose(run, app).services)

    def look() -> wait.Look[bool]:
        view = engine.view(app.stack)
        good = converge.look(view, history, wanted=wanted)
        return wait.Look(converge.describe(view), True if good else None)

    try:
        wait.until(
            look,
            what=f"the services of '{app.recipe}' to settle",
            timeout=provision.deploy_timeout(run, app),
            every=EVERY,
            stable=WINDOW,
            progress=app.progress,
        )
    except (RecipeFailure, TimedOut) as error:
        raise type(error)(*_with_logs(app, error)) from None
    for service, count in history.restarts().items():
        run.recorder.note(
            f"service '{service}' restarted {count} time(s) before it settled ({app.life})"
        )


def _with_logs(app: App, error: CcCiError) -> tuple[str, ...]:
    """Return the error's arguments with the last log lines of the service it is about."""
    service = getattr(error, "service", None) or _unsettled(app)
    lines = containers.logs(app.stack, service, lines=15) if service else []
    text = "\n  ".join(
        [f"{error}", *([f"last log lines of '{service}':"] if lines else []), *lines]
    )
    return (text, service) if isinstance(error, converge.CrashLoop) else (text,)


def _unsettled(app: App) -> str:
    view = engine.view(app.stack)
    return next((s.name for s in view.services if not converge.settled(s)), "")


def post_deploy(run: Run, app: App) -> None:
    """Run the recipe's POST_DEPLOY_CMDS, which abra leaves out when it does not wait itself."""
    text = EnvFile.read(run.env_path(app)).get("POST_DEPLOY_CMDS") or ""
    for command in recipe.post_deploy_commands(text):
        app.progress(f"post-deploy command: {command.service} {command.function}")
        run.abra.app_cmd(app.domain, command.service, command.function, command.arguments)


def healthy(run: Run, app: App) -> None:
    """Wait until the app itself answers on its route with one of the statuses its suite accepts.

    Raises:
        RecipeFailure: the proxy still answers itself, or the last answer had another status.
    """
    health = run.suite_settings.health
    last: list[RecipeFailure] = []
    patience = time.monotonic() + ROUTER_PATIENCE

    def look() -> wait.Look[bool]:
        try:
            answer = app.get(health.path, status=tuple(health.statuses), timeout=5.0)
        except RecipeFailure as error:
            last[:] = [error]
            if isinstance(error, route.ProxyAnswered) and time.monotonic() > patience:
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
            _listens(app, target, timeout)


def _listens(app: App, target: str, timeout: float) -> None:
    """Wait until a port that the suite names accepts connections; the route may answer without it."""
    try:
        find = partial(probe.address, app.stack, target)
        probe.until_ready(find, what=f"'{target}'", timeout=timeout, progress=app.progress)
    except TimedOut as error:
        raise RecipeFailure(
            f"the app answers on its route, but not all of it is up: {error}"
        ) from None


def _refuse_unrouted(run: Run, app: App) -> None:
    """Give up where the proxy has no router for the app at all.

    Raises:
        ProxyAnswered: says where to look.
    """
    if run.settings.proxy_api and not route.routers(run.settings, app.domain):
        raise route.ProxyAnswered(
            f"the proxy has no router for '{app.domain}', so it answers itself: "
            "look at the Traefik labels of the web service (enable, rule, network)"
        )


def redeploy_is_a_no_op(run: Run, app: App) -> None:
    """Deploy the same again; no task may be replaced and no service may start to update.

    Raises:
        RecipeFailure: names the services whose tasks were replaced.
    """
    before = _running(app)
    with blaming_the_recipe("deploying the same again"), run.recorder.phase("redeploy", app.life):
        run.abra.app_deploy(app.domain)
        after = _watch(app, NO_OP_WINDOW, lambda: _running(app) != before)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    if changed:
        raise RecipeFailure(
            "deploying the same commit again replaced tasks of "
            + ", ".join(f"'{name}'" for name in changed)
            + ": something in the recipe changes with every deployment"
        )


def _watch(app: App, seconds: float, changed: Callable[[], bool]) -> dict[str, frozenset[str]]:
    """Look for a change for some seconds; return what runs then."""
    deadline = time.monotonic() + seconds
    wait.until(
        lambda: wait.Look("", True if changed() or time.monotonic() >= deadline else None),
        what="a replaced task",
        timeout=seconds + 10,
        every=EVERY,
    )
    return _running(app)


def _running(app: App) -> dict[str, frozenset[str]]:
    view = engine.view(app.stack)
    return {s.name: frozenset(t.id for t in s.tasks if not t.ended) for s in view.services}


def seed(run: Run, app: App) -> None:
    """Let the suite create what an owner would, and put witnesses into what the backup covers."""
    with run.recorder.phase("seed", app.life):
        for function in run.suite.seeds:
            _of_the_suite(function, app)
        if not run.suite.checks:
            sentinel.plant(app, provision.witness_places(run, app))


def _of_the_suite(function: Callable[[App], object], app: App) -> None:
    """Call a function of the suite; one that skips itself, or ends the session, must not end a stage.

    Raises:
        SuiteFailure: it did.
    """
    try:
        function(app)
    except (pytest.skip.Exception, pytest.exit.Exception, SystemExit) as error:
        what = "skips itself" if isinstance(error, pytest.skip.Exception) else "ends the session"
        raise SuiteFailure(f"'{function.__name__}' {what}: {error}") from None


def check(run: Run, app: App) -> None:
    """Verify the witnesses; the suite's own checks are test cases of their own."""
    places = provision.witness_places(run, app)
    if not places:
        raise Declared(f"{NOT_APPLICABLE}no volume to put a witness into")
    sentinel.verify(app, places)


def back_up(run: Run, app: App) -> str:
    """Back the app up and prove by restic that the snapshot holds what it should.

    Returns the snapshot's short id.

    Raises:
        RecipeFailure: abra refused, or the snapshot lacks something, names what.
    """
    if not provision.compose(run, app).is_backup_capable:
        raise Declared(f"{NOT_APPLICABLE}no service of this version has a backup label")
    settle(run, app, ignore=converge.tasks_of(engine.view(app.stack)))
    with run.recorder.phase("backup", app.life):
        since = time.time()
        with blaming_the_recipe("backing up"):
            done = run.abra.app_backup_create(
                app.domain, timeout=float(run.suite_settings.timeouts.backup)
            )
        try:
            return backup.verify(app.stack, provision.expected_in_snapshot(run, app), since)
        except RecipeFailure as error:
            raise RecipeFailure(
                f"{error}\n  the backup said:\n    {_last_lines(done.text)}"
            ) from None


def restore(run: Run, app: App) -> None:
    """Destroy what the app holds, start it anew on empty volumes, and restore.

    Raises:
        SuiteFailure: nothing could show a restore, or after the loss every check still passes.
        RecipeFailure: abra's restore failed.
    """
    if not run.suite.checks and not provision.witness_places(run, app):
        raise SuiteFailure(
            "the backup takes no volume whole, so there is no place for a witness, and the suite has "
            "no @check: a restore of nothing would pass; add a @seed and a @check"
        )
    with run.recorder.phase("restore", app.life):
        for function in run.suite.wrecks:
            _of_the_suite(function, app)
        lose_everything(run, app)
        _prove_the_loss(run, app)
        with blaming_the_recipe("restoring"):
            done = run.abra.app_restore(
                app.domain, timeout=float(run.suite_settings.timeouts.restore)
            )
        app.progress(_last_lines(done.text).splitlines()[-1].strip())
        _refuse_failed_hooks("restore", done.text)
        settle(run, app, ignore=converge.tasks_of(engine.view(app.stack)))
        healthy(run, app)


def _refuse_failed_hooks(doing: str, said: str) -> None:
    """Refuse a success on whose way a hook failed: the bot tells of it and goes on (incident B3).

    Raises:
        RecipeFailure: with what was said, the hook's own words among it.
    """
    if any(HOOK_FAILED.search(line) for line in said.splitlines()):
        raise RecipeFailure(
            f"the {doing} reported success, but a hook of the recipe failed; it said:\n"
            f"    {_last_lines(said)}"
        )


def lose_everything(run: Run, app: App) -> None:
    """Undeploy, delete the volumes, and deploy the same again with its secrets: a new, empty server.

    Raises:
        InfraError: something did not go, so nothing could show a restore.
    """
    preflight.enough(run.settings)
    run.abra.app_undeploy(app.domain)
    left = remove.remove_stack(engine.client(), app.stack, keep_secrets=True, progress=app.progress)
    if left:
        names = ", ".join(f"{item.kind} '{item.name}' ({item.why})" for item in left)
        raise InfraError(f"cannot empty the app before the restore, there still is: {names}")
    with blaming_the_recipe("deploying onto emptied volumes"):
        run.abra.app_deploy(app.domain)
    settle(run, app)
    post_deploy(run, app)
    healthy(run, app)


def _prove_the_loss(run: Run, app: App) -> None:
    """Require that at least one check or witness notices the loss.

    A witness always does; it needs no proof where the suite has no check of its own.
    """
    if not run.suite.checks:
        return
    for function in run.suite.checks:
        try:
            _of_the_suite(function, app)
        except SuiteFailure:
            raise
        except (AssertionError, CcCiError):
            return
    names = ", ".join(f"'{function.__name__}'" for function in run.suite.checks)
    raise SuiteFailure(
        f"after wreck and emptied volumes every check still passes ({names}): "
        "they cannot show that a restore brings anything back"
    )


def recipe_tests(run: Run, app: App) -> None:
    """Run the tests of the recipe's own repository in a jail, against the live app.

    Raises:
        RecipeFailure: they do not hold.
    """
    own_tests.verify(run, app)


def base(run: Run, app: App) -> None:
    """Deploy the published version that the upgrade starts from, and seed it.

    Raises:
        BaseNotDeployable: it does not come up; that is not the fault of the head.
    """
    if not run.base_ref:
        raise Declared(f"{NOT_APPLICABLE}{run.no_base}")
    try:
        deploy(run, app, run.base_ref)
        healthy(run, app)
        seed(run, app)
    except (RecipeFailure, TimedOut) as error:
        raise BaseNotDeployable(
            f"the published version {run.base_version} does not deploy: {error}"
        ) from error


def upgrade(run: Run, app: App) -> None:
    """Deploy the head over the published version, as an operator would, and prove that it runs.

    Raises:
        RecipeFailure: refused, rolled back, head not the deployed commit, dropped services left.
    """
    preflight.enough(run.settings)
    before = engine.view(app.stack)
    old_version = provision.compose(run, app).version
    old_sample = provision.sample(run)
    run.checkout(run.ref)
    with blaming_the_recipe("upgrading to the head"), run.recorder.phase("upgrade", app.life):
        admission.admit_checkout(run)
        provision.adopt_new_env(run, app, old_sample)
        admission.admit_app(run, app)
    with run.recorder.phase("pull", app.life):
        images.pull(provision.images(run), progress=app.progress)
    with blaming_the_recipe("upgrading to the head"), run.recorder.phase("upgrade", app.life):
        provision.make_secrets(run, app)
        run.abra.app_deploy(app.domain)
        settle(run, app, ignore=converge.tasks_of(before))
        provision.remove_orphans(run, app)
        post_deploy(run, app)
        healthy(run, app)
        _prove_the_head(run, app)
        _prove_a_change(run, app, before, old_version)


def _prove_the_head(run: Run, app: App) -> None:
    """Require the head's own hash on the app's label, read after the update settled."""
    labels = engine.view(app.stack).service("app").labels
    deployed = labels.get(f"coop-cloud.{app.stack}.chaos-version", "").removesuffix("+U")
    if len(deployed) < 7 or not run.ref.startswith(deployed):
        raise RecipeFailure(
            f"after the upgrade the app carries chaos-version '{deployed or 'none'}', "
            f"not the head {run.ref[:8]}: the head was never deployed"
        )


def _prove_a_change(run: Run, app: App, before: engine.StackView, old_version: str | None) -> None:
    """Refuse an upgrade that claims a new upstream version while every service runs the same image."""
    new_version = provision.compose(run, app).version
    old, new = (_upstream(version) for version in (old_version, new_version))
    images = {s.name: s.image for s in before.services}
    after = {s.name: s.image for s in engine.view(app.stack).services}
    if old and new and old != new and images == after:
        raise RecipeFailure(
            f"the upgrade changed nothing: the version says {new_version} after {old_version}, but "
            f"every service still runs the same image ({', '.join(sorted(set(after.values())))})"
        )


def _upstream(version: str | None) -> str:
    return (version or "").partition("+")[2]


def _last_lines(text: str, count: int = 12) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()] or ["(nothing)"]
    return "\n    ".join(lines[-count:])


def leave_no_trace(run: Run) -> None:
    """Tear down what is left, then look for anything that has a name of this run.

    Raises:
        InfraError: names what would not go.
    """
    apps = list(run.apps.by_life.values())
    left = [item for app in apps for item in run.apps.tear_down(app)]
    left += [item for stack in run.apps.stacks for item in remove.leftovers(engine.client(), stack)]
    if left:
        names = ", ".join(sorted({f"{item.kind} '{item.name}'" for item in left}))
        raise InfraError(f"the run left behind: {names}; `cc-ci janitor` removes what it can")
