"""A recipe's post-deploy commands."""

import pytest

from harness.errors import RecipeFailure
from harness.recipe import post_deploy
from harness.recipe.post_deploy import Command


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
def test_post_deploy_commands_are_parsed(text: str, commands: tuple[Command, ...]) -> None:
    """abra does not run them when it does not wait, so the harness does."""
    assert post_deploy.post_deploy_commands(text) == commands


def test_a_post_deploy_command_without_a_function_is_the_recipes_fault() -> None:
    with pytest.raises(RecipeFailure, match="POST_DEPLOY_CMDS has the entry 'app', but each"):
        post_deploy.post_deploy_commands("app migrate|app")
