"""A recipe at one commit: its version, the names of its apps, its post-deploy commands.

The names are made in `naming`, the exports of abra.sh read in `compose`; both are handed on here,
so that there is one place to look for a recipe.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.compose import Compose, exports
from harness.errors import RecipeFailure
from harness.naming import app_domain, stack_name, unique

__all__ = [
    "Command",
    "Recipe",
    "app_domain",
    "exports",
    "post_deploy_commands",
    "stack_name",
    "unique",
]
STAND_IN_STACK = "stack"  # what ${STACK_NAME} is while no app exists


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of POST_DEPLOY_CMDS: a function of abra.sh to run in a service."""

    service: str
    function: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe's name, checkout, full head sha, and version (None where its files name none)."""

    name: str
    checkout: Path
    head: str
    version: str | None

    @classmethod
    def read(cls, name: str, checkout: Path, head: str) -> Recipe:
        """Read the version from the compose files of a checkout that is at `head`.

        Raises:
            UsageError: a compose file cannot be read.
        """
        found = Compose.load(checkout, {"STACK_NAME": STAND_IN_STACK})
        return cls(name, checkout, head, found.version)


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
