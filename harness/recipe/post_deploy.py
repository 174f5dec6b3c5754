"""A recipe's post-deploy commands; abra skips them when it does not wait for the deployment itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import RecipeFailure

SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
FUNCTION = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of POST_DEPLOY_CMDS: a function of abra.sh to run in a service."""

    service: str
    function: str
    arguments: tuple[str, ...]


def post_deploy_commands(text: str) -> tuple[Command, ...]:
    """Parse the value of POST_DEPLOY_CMDS: `<service> <function> [arguments]|…`.

    The words become arguments of abra, where `--local` would run the function on the host.

    Raises:
        RecipeFailure: an entry has no function, or an invalid service or function name.
    """
    entries = [part.split() for part in text.split("|") if part.strip()]
    for words in entries:
        if len(words) < 2:
            raise RecipeFailure(
                f"POST_DEPLOY_CMDS has the entry '{' '.join(words)}', but each entry must be "
                "'<service> <function> [arguments]'"
            )
        if not (SERVICE.fullmatch(words[0]) and FUNCTION.fullmatch(words[1])):
            raise RecipeFailure(
                f"POST_DEPLOY_CMDS has the entry '{' '.join(words)}', which does not start with the name "
                "of a service and the name of a function"
            )
    return tuple(Command(words[0], words[1], tuple(words[2:])) for words in entries)
