"""The zoo: which variants there are, and what counts as caught."""

from __future__ import annotations

import pytest

from contract.verdicts import Verdict
from sandbox.host.shell import UsageError
from sandbox.trials import zoo
from sandbox.trials.product import Report

VARIANT = zoo.Variant("x", "custom-html", "install", "crash.loop", "recipe")
CAUGHT = Report(
    verdict=Verdict.RECIPE,
    reason="service 'app' is in a crash loop",
    stage="install",
    stages={"install": "fail", "cleanup": "pass"},
    failures=("service 'app' is in a crash loop\nlog",),
    seconds=12.0,
    phases={},
)


def with_(**changes: object) -> Report:
    """Return the report of a caught variant with changes."""
    return Report(**{name: getattr(CAUGHT, name) for name in Report.__slots__} | changes)


def test_a_variant_that_was_caught_as_expected_has_no_problem() -> None:
    assert zoo.problem(VARIANT, 1, CAUGHT) is None
    assert zoo.problem(VARIANT, 1, with_(reason="install failed")) is None, (
        "a failure's text counts"
    )


@pytest.mark.parametrize(
    ("report", "exit_code", "problem"),
    [
        (with_(verdict=Verdict.PASSED), 0, "verdict passed, expected recipe"),
        (CAUGHT, 0, "exit code 0, expected 1"),
        (with_(stage="upgrade"), 1, "caught in stage upgrade, expected install"),
        (with_(reason="no disk", failures=()), 1, "the reason does not match 'crash.loop'"),
        (with_(stages={"cleanup": "fail"}), 1, "stage cleanup: fail"),
        (with_(stages={}), 1, "stage cleanup: absent"),
    ],
)
def test_anything_else_than_expected_is_a_problem(
    report: Report, exit_code: int, problem: str
) -> None:
    assert (zoo.problem(VARIANT, exit_code, report) or "").startswith(problem)


def test_an_unknown_variant_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match=r"there is no variant 'nope'; known variants: .*crash-loop"
    ):
        zoo.variants(["nope"])


def test_a_variant_uses_the_suite_of_the_recipe_it_is_made_of() -> None:
    (variant,) = zoo.variants(["crash-loop"])
    with zoo.suites([variant]) as folder:
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}
    assert names == {"test_lifecycle.py", "broken-crash-loop/test_custom_html.py"}
