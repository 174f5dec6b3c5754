"""A recipe at a commit: the names of its apps, its version, its post-deploy commands."""

import itertools
import re
from pathlib import Path

import pytest

from harness import recipe
from harness.errors import RecipeFailure, UsageError
from harness.recipe import Command, Recipe

REF = "a" * 40


def test_the_unique_part_comes_first() -> None:
    """So that the cut of a stack's name at 45 characters cannot remove it."""
    domain = recipe.app_domain("c4f1a9", "custom-html", "ci.test")
    assert domain == "c4f1a9-custom-html.ci.test"
    assert recipe.stack_name(domain) == "c4f1a9-custom-html_ci_test"


@pytest.mark.parametrize(
    ("domain", "stack"), [("a.b.c", "a_b_c"), ("a-b.c", "a-b_c"), ("a" * 50, "a" * 45)]
)
def test_a_stack_is_called_as_abra_calls_it(domain: str, stack: str) -> None:
    """Dots become underscores, and 45 characters are kept."""
    assert recipe.stack_name(domain) == stack


def test_names_differ_in_role_recipe_run_pull_request_and_commit() -> None:
    """Any two differ, so no two apps ever share a domain (incident N2)."""
    values = [("fresh", "upgrade"), ("gitea", "drone"), ("7", "8"), ("0", "12"), (REF, "b" * 40)]
    tokens = [recipe.unique(*parts) for parts in itertools.product(*values)]
    assert len(set(tokens)) == 2**5
    assert all(re.fullmatch("[0-9a-f]{6}", token) for token in tokens)


def test_the_same_parts_give_the_same_name() -> None:
    """Whoever looks for a dead run's apps finds them."""
    parts = ("fresh", "gitea", "7", "12", REF)
    assert recipe.unique(*parts) == recipe.unique(*parts)


def test_parts_do_not_run_into_each_other() -> None:
    """Run 1 of pull request 12 is not run 11 of pull request 2."""
    first = recipe.unique("fresh", "gitea", "1", "12", REF)
    assert first != recipe.unique("fresh", "gitea", "11", "2", REF)


@pytest.mark.parametrize(("length", "over"), [(30, 0), (31, 1), (40, 10)])
def test_a_name_that_abra_would_cut_is_refused_with_how_much(length: int, over: int) -> None:
    """A domain of 45 characters is whole, one more is too long."""
    if not over:
        assert len(recipe.app_domain("c4f1a9", "r" * length, "ci.test")) == 45
        return
    with pytest.raises(UsageError, match=f"is {over} characters too long: abra cuts"):
        recipe.app_domain("c4f1a9", "r" * length, "ci.test")


@pytest.mark.parametrize(
    ("label", "version"),
    [("coop-cloud.${STACK_NAME}.version=1.2.0+1", "1.2.0+1"), ("x=1", None)],
)
def test_a_recipe_knows_its_version(tmp_path: Path, label: str, version: str | None) -> None:
    """From the label of its compose file, which a pull request may lack."""
    text = f"services: {{app: {{image: a, deploy: {{labels: ['{label}']}}}}}}\n"
    (tmp_path / "compose.yml").write_text(text)
    assert Recipe.read("r", tmp_path, REF) == Recipe("r", tmp_path, REF, version)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", ()),
        ("app migrate", (Command("app", "migrate", ()),)),
        (
            "app migrate --fast now|db vacuum |",
            (Command("app", "migrate", ("--fast", "now")), Command("db", "vacuum", ())),
        ),
    ],
)
def test_post_deploy_commands_name_service_function_and_words(
    text: str, commands: tuple[Command, ...]
) -> None:
    """abra does not run them when it does not wait, so the harness does."""
    assert recipe.post_deploy_commands(text) == commands


def test_a_post_deploy_command_without_a_function_is_the_recipes_fault() -> None:
    """abra could not run it either."""
    with pytest.raises(RecipeFailure, match="POST_DEPLOY_CMDS has 'app', but needs"):
        recipe.post_deploy_commands("app migrate|app")
