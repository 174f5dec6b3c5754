"""The generic stages, by the names that `recipes_tests/test_lifecycle.py` calls; see `harness.stages`."""

from harness.stages.backup import back_up
from harness.stages.cleanup import leave_no_trace
from harness.stages.data import check, seed
from harness.stages.deploy import healthy
from harness.stages.install import install
from harness.stages.lint import lint
from harness.stages.recipe_tests import run_own_tests as recipe_tests
from harness.stages.redeploy import redeploy_is_a_no_op
from harness.stages.restore import restore
from harness.stages.upgrade import base, upgrade

__all__ = [
    "back_up",
    "base",
    "check",
    "healthy",
    "install",
    "leave_no_trace",
    "lint",
    "recipe_tests",
    "redeploy_is_a_no_op",
    "restore",
    "seed",
    "upgrade",
]
