"""Stage redeploy: deploying the same commit again changes nothing."""

from __future__ import annotations

import time

from harness.errors import RecipeFailure
from harness.host import wait
from harness.runs.run import Run
from harness.stages.deploy import POLL_INTERVAL, abra_errors_as_failures
from harness.suites.app import App
from harness.swarm import engine

NO_OP_WINDOW = 1.0  # seconds in which a redeploy would start its first task; measured 0.1 s


def redeploy_is_a_no_op(run: Run, app: App) -> None:
    """Deploy the same commit again and require that no task is replaced.

    Raises:
        RecipeFailure: names the services whose tasks were replaced.
    """
    before = _running(app)
    with (
        abra_errors_as_failures("deploying the same again"),
        run.recorder.phase("redeploy", app.life),
    ):
        run.abra.app_deploy(app.domain)
        after = _await_change(app, before)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    if changed:
        raise RecipeFailure(
            "deploying the same commit again replaced tasks of "
            + ", ".join(f"'{name}'" for name in changed)
            + ": something in the recipe changes with every deployment"
        )


def _await_change(app: App, before: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """Return the running tasks as soon as they differ from before, at the latest after the window."""
    deadline = time.monotonic() + NO_OP_WINDOW
    wait.until(
        lambda: wait.Look(
            "", True if _running(app) != before or time.monotonic() >= deadline else None
        ),
        what="a replaced task",
        timeout=NO_OP_WINDOW + 10,
        every=POLL_INTERVAL,
    )
    return _running(app)


def _running(app: App) -> dict[str, frozenset[str]]:
    """Return the ids of the running tasks of each service."""
    view = engine.view(app.stack)
    return {s.name: frozenset(t.id for t in s.tasks if not t.finished) for s in view.services}
