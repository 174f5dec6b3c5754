"""Names of apps: the unique part comes first, none is too long, none is shared."""

import itertools
import re

import pytest

from harness import naming
from harness.errors import UsageError

REF = "a" * 40


def test_the_unique_part_comes_first() -> None:
    """abra cuts a stack's name at 45 characters; the cut must not remove it."""
    domain = naming.app_domain("c4f1a9", "custom-html", "ci.test")
    assert domain == "c4f1a9-custom-html.ci.test"
    assert naming.stack_name(domain) == "c4f1a9-custom-html_ci_test"


@pytest.mark.parametrize(
    ("domain", "stack"), [("a.b.c", "a_b_c"), ("a-b.c", "a-b_c"), ("a" * 50, "a" * 45)]
)
def test_a_stack_has_the_name_that_abra_gives_it(domain: str, stack: str) -> None:
    """Underscores for dots, at most 45 characters."""
    assert naming.stack_name(domain) == stack


def test_names_differ_by_life_recipe_run_pull_request_and_commit() -> None:
    """No two apps may share a domain (incident N2)."""
    values = [("fresh", "upgrade"), ("gitea", "drone"), ("7", "8"), ("0", "12"), (REF, "b" * 40)]
    tokens = [naming.app_token(*parts) for parts in itertools.product(*values)]
    assert len(set(tokens)) == 2**5
    assert all(re.fullmatch("[0-9a-f]{6}", token) for token in tokens)


def test_the_same_parts_give_the_same_name() -> None:
    """So the janitor finds the apps of a dead run."""
    parts = ("fresh", "gitea", "7", "12", REF)
    assert naming.app_token(*parts) == naming.app_token(*parts)


def test_parts_are_separated() -> None:
    """Run 1 of pull request 12 is not run 11 of pull request 2."""
    first = naming.app_token("fresh", "gitea", "1", "12", REF)
    assert first != naming.app_token("fresh", "gitea", "11", "2", REF)


@pytest.mark.parametrize(("length", "over"), [(30, 0), (31, 1), (40, 10)])
def test_a_name_that_abra_would_cut_is_refused(length: int, over: int) -> None:
    """45 characters are allowed."""
    if not over:
        assert len(naming.app_domain("c4f1a9", "r" * length, "ci.test")) == 45
        return
    with pytest.raises(UsageError, match=f"is {over} characters too long: abra cuts"):
        naming.app_domain("c4f1a9", "r" * length, "ci.test")
