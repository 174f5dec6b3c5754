"""A recipe's post-deploy commands: abra leaves them out when it does not wait for a deployment itself."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import RecipeFailure


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of POST_DEPLOY_CMDS: a function of abra.sh to run in a service."""

    service: str
    function: str
    arguments: tuple[str, ...]


def post_deploy_commands(text: str) -> tuple[Command, ...]:
    """Take the value of POST_DEPLOY_CMDS apart: `<service> <function> [args]|…`.

    Raises:
        RecipeFailure: an entry has no function.
    """
    entries = [part.split() for part in text.split("|") if part.strip()]
    for words in entries:
        if len(words) < 2:
            raise RecipeFailure(
                f"POST_DEPLOY_CMDS has '{' '.join(words)}', but needs '<service> <function>'"
            )
    return tuple(Command(words[0], words[1], tuple(words[2:])) for words in entries)
