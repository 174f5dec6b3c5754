"""The generic stages of every enrolled recipe, from lint to cleanup; no configuration needed."""

import pytest

from harness import App, Run, check, lifecycle

# %% [markdown]
# # One run
# A run deploys the recipe once or twice; each deployment, from start to teardown, is a *life*. In the
# *fresh* life the head of the pull request is deployed on empty state. In the *upgrade* life the newest
# published version is deployed, gets data, and is upgraded to the head. The quick lane only has the
# upgrade, in one life called *warm*.


# %% The recipe's files follow abra's rules
@pytest.mark.lint
def test_lint(run: Run) -> None:
    lifecycle.lint(run)


# %% [markdown]
# # The fresh life


# %% The head deploys on empty state and every service settles
@pytest.mark.install
def test_install(run: Run, app: App) -> None:
    lifecycle.install(run, app)


# %% The app itself answers on its route, not the proxy
@pytest.mark.install
def test_health(run: Run, app: App) -> None:
    lifecycle.healthy(run, app)


# %% The owner creates something
@pytest.mark.install
def test_seed(run: Run, app: App) -> None:
    lifecycle.seed(run, app)


# %% It is there after every operation
# Suites without checks of their own get this one: it verifies the sentinel, a file in each volume. Its name
# identifies its cases in reports and JUnit files, so it cannot change.
@check
def the_witness_survives(run: Run, app: App) -> None:
    lifecycle.check(run, app)


# %% Deploying the same again changes nothing
@pytest.mark.redeploy
def test_redeploy_is_a_no_op(run: Run, app: App) -> None:
    lifecycle.redeploy_is_a_no_op(run, app)


# %% The snapshot holds what the recipe's backup labels promise
@pytest.mark.backup
def test_backup(run: Run, app: App) -> None:
    lifecycle.back_up(run, app)


# %% Destroyed data comes back from the snapshot
@pytest.mark.restore
def test_restore(run: Run, app: App) -> None:
    lifecycle.restore(run, app)


# %% The tests in the recipe's own repository pass, if the recipe is trusted
@pytest.mark.recipe_tests
def test_recipe_tests(run: Run, app: App) -> None:
    lifecycle.recipe_tests(run, app)


# %% [markdown]
# # The upgrade life


# %% The published version is deployed, and its owner creates something
@pytest.mark.upgrade
def test_base(run: Run, app: App) -> None:
    lifecycle.base(run, app)


# %% It is upgraded to the head, and the head really runs
@pytest.mark.upgrade
def test_upgrade(run: Run, app: App) -> None:
    lifecycle.upgrade(run, app)


# %% Nothing is left behind
@pytest.mark.cleanup
def test_leave_no_trace(run: Run) -> None:
    lifecycle.leave_no_trace(run)
