"""The life of every enrolled recipe, with nothing configured: from lint to leaving no trace."""

import pytest

from harness import App, Run, check, lifecycle

# %% [markdown]
# # One run
# A recipe is tested in lives. In the *fresh* life the head of the pull request starts on empty
# state. In the *upgrade* life the newest published version starts, gets data, and becomes the head.
# The quick lane has one life only: the published version becomes the head, nothing else.


# %% The recipe's files keep abra's rules
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
# A suite that has checks of its own replaces this one: a file in each volume.
@check
def the_witness_survives(run: Run, app: App) -> None:
    lifecycle.check(run, app)


# %% Deploying the same again changes nothing
@pytest.mark.redeploy
def test_redeploy_is_a_no_op(run: Run, app: App) -> None:
    lifecycle.redeploy_is_a_no_op(run, app)


# %% The snapshot holds what it should
@pytest.mark.backup
def test_backup(run: Run, app: App) -> None:
    lifecycle.back_up(run, app)


# %% What a disaster destroyed comes back
@pytest.mark.restore
def test_restore(run: Run, app: App) -> None:
    lifecycle.restore(run, app)


# %% The tests in the recipe's own repository hold, if it is trusted
@pytest.mark.recipe_tests
def test_recipe_tests(run: Run, app: App) -> None:
    lifecycle.recipe_tests(run, app)


# %% [markdown]
# # The upgrade life


# %% The published version, used by its owner
@pytest.mark.upgrade
def test_base(run: Run, app: App) -> None:
    lifecycle.base(run, app)


# %% It becomes the head, and the head really runs
@pytest.mark.upgrade
def test_upgrade(run: Run, app: App) -> None:
    lifecycle.upgrade(run, app)


# %% Nothing is left behind
@pytest.mark.cleanup
def test_leave_no_trace(run: Run) -> None:
    lifecycle.leave_no_trace(run)
