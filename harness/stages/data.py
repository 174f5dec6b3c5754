"""The app's data: what the suite's seeds create, its checks verify and its wrecks destroy.

A suite without checks gets the sentinel instead: a file in each volume.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import CcCiError, SuiteFailure
from harness.runs.run import Run
from harness.stages import sentinel
from harness.suites.app import App
from harness.suites.outcome import NOT_APPLICABLE, HarnessSkip


def seed(run: Run, app: App) -> None:
    """Call the suite's seeds, and write the sentinel if the suite has no checks."""
    with run.recorder.phase("seed", app.life):
        for function in run.suite.seeds:
            call_suite_function(function, app)
        if not run.suite.checks:
            sentinel.plant(run.deployments[app.domain])


def check(run: Run, app: App) -> None:
    """Verify the sentinel; the suite's own checks are test cases of their own.

    Raises:
        RecipeFailure: names the volumes that lost it.
    """
    deployment = run.deployments[app.domain]
    if not sentinel.mounts(deployment):
        raise HarnessSkip(f"{NOT_APPLICABLE}no volume to put a sentinel into")
    sentinel.verify(deployment)


def wreck(run: Run, app: App) -> None:
    """Call the suite's wrecks."""
    for function in run.suite.wrecks:
        call_suite_function(function, app)


def prove_the_loss(run: Run, app: App) -> None:
    """Require that at least one check of the suite notices that its data is gone.

    The sentinel always does, so it needs no proof.

    Raises:
        SuiteFailure: every check passes on the emptied app.
    """
    if not run.suite.checks:
        return
    for function in run.suite.checks:
        try:
            call_suite_function(function, app)
        except SuiteFailure:
            raise
        except (AssertionError, CcCiError):
            return
    names = ", ".join(f"'{function.__name__}'" for function in run.suite.checks)
    raise SuiteFailure(
        f"after the wreck, on empty volumes, every check still passes ({names}): "
        "they cannot show that a restore brings anything back"
    )


def call_suite_function(function: Callable[[App], object], app: App) -> None:
    """Call a function of the suite; it must neither skip the stage nor end the session.

    Raises:
        SuiteFailure: it tried to.
    """
    try:
        function(app)
    except (pytest.skip.Exception, pytest.exit.Exception, SystemExit) as error:
        what = "skips itself" if isinstance(error, pytest.skip.Exception) else "ends the session"
        raise SuiteFailure(f"'{function.__name__}' {what}: {error}") from None
