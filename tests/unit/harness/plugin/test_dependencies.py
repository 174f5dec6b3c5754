"""Which steps are not run because a step that they need did not pass."""

from __future__ import annotations

import pytest

from harness import plan
from harness.plugin.dependencies import Dependencies
from harness.plugin.items import ItemStep
from harness.suites.outcome import Outcome

INSTALL, HEALTH, SEED = (
    ItemStep("hello", plan.GENERIC[f"test_{name}"]) for name in ("install", "health", "seed")
)
BASE = ItemStep("hello", plan.GENERIC["test_base"])
PASS, FAIL = Outcome("pass"), Outcome("fail", "recipe", "no such image")


@pytest.fixture
def dependencies() -> Dependencies:
    """The outcomes of a session in which nothing has run."""
    return Dependencies()


def test_a_step_without_needs_is_run(dependencies: Dependencies) -> None:
    assert dependencies.skip_reason(INSTALL, "cold") is None


def test_a_step_is_run_once_what_it_needs_has_passed(dependencies: Dependencies) -> None:
    assert dependencies.skip_reason(HEALTH, "cold") == "not run: install did not run"
    dependencies.record(INSTALL, "install", PASS)
    assert dependencies.skip_reason(HEALTH, "cold") is None


def test_the_first_failure_is_the_reason_of_all_later_steps(dependencies: Dependencies) -> None:
    dependencies.record(INSTALL, "install", FAIL)
    reason = "install failed: no such image"
    assert dependencies.skip_reason(HEALTH, "cold") == f"not run: {reason}"
    dependencies.record(HEALTH, "health", Outcome("unverified", None, reason))
    assert dependencies.skip_reason(SEED, "cold") == f"not run: {reason}"


def test_a_step_whose_need_does_not_apply_does_not_apply_either(dependencies: Dependencies) -> None:
    skip = Outcome("skip", None, "it has no web service", structural=True)
    dependencies.record(HEALTH, "health", skip)
    assert dependencies.skip_reason(SEED, "cold") == "not applicable: it has no web service"


def test_without_an_installed_head_there_is_no_upgrade(dependencies: Dependencies) -> None:
    """In the quick lane nothing is installed before the upgrade, so it does not matter there."""
    dependencies.record(INSTALL, "install", FAIL)
    reason = "not run: install failed: no such image"
    assert dependencies.skip_reason(BASE, "cold") == reason
    assert dependencies.skip_reason(BASE, "quick") is None


def test_recipes_do_not_share_outcomes(dependencies: Dependencies) -> None:
    dependencies.record(INSTALL, "install", PASS)
    other = ItemStep("other", HEALTH.step)
    assert dependencies.skip_reason(other, "cold") == "not run: install did not run"
