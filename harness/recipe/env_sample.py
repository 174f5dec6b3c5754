"""A recipe's `.env.sample`: every line must have only one meaning, and no reserved key.

abra, Docker and this harness parse env files differently. A line that they could read differently is
refused; otherwise one value would be checked and another one deployed.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import RecipeFailure
from harness.recipe.env_file import UNDECODABLE
from harness.recipe.limits import MAX_FILE_SIZE

# Variables that change what abra, Docker, git, a shell or this harness does.
RESERVED_NAMES = re.compile(
    r"STACK_NAME|PATH|IFS|CDPATH|BASH_ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS4|GLOBIGNORE|GODEBUG"
    r"|LD_\w+|ABRA_\w+|CCCI_\w+|SSH_ASKPASS|SSH_AUTH_SOCK"
    r"|GIT_(?:DIR|WORK_TREE|EXEC_PATH|TEMPLATE_DIR|ASKPASS|EDITOR|PAGER|SSH\w*|CONFIG\w*|EXTERNAL_DIFF)"
    r"|DOCKER_(?:HOST|CONFIG|CONTEXT|CERT_PATH|TLS\w*|API_VERSION|CLI_\w+|CUSTOM_HEADERS)"
)
BLANK_OR_COMMENT = re.compile(r"[ \t]*(?:#.*)?")
SETTING = re.compile(
    r"[ \t]*(?P<key>[A-Za-z_][A-Za-z0-9_]*)="
    r"""(?P<value>"[^"\\]*"|'[^']*'|(?:[^\s"'\\#](?:[^\\\s#]++|[ \t]++(?!\#)|(?<=\S)\#)*+)?)"""
    r"[ \t]*(?:\#.*)?"
)
CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


def read(checkout: Path) -> str:
    """Return the text of a checkout's `.env.sample`.

    Raises:
        RecipeFailure: it is missing or larger than 1 MiB.
    """
    path = checkout / ".env.sample"
    if not path.is_file():
        raise RecipeFailure("the recipe has no file '.env.sample', so abra cannot create an app")
    if path.stat().st_size > MAX_FILE_SIZE:
        raise RecipeFailure("'.env.sample' of the recipe is larger than 1 MiB")
    return path.read_bytes().decode(errors=UNDECODABLE)


def problem(text: str, recipe: str) -> str:
    """Return the number of the first line that is not allowed and why, "" if all are allowed."""
    for number, line in enumerate(text.split("\n"), 1):
        why = _line(line.removesuffix("\r"), recipe)
        if why:
            return f"line {number} {why}"
    return ""


def _line(line: str, recipe: str) -> str:
    control = CONTROL_CHARACTER.search(line)
    if control:
        return f"has the control character {control[0]!r}, which some programs read as the end of a line"
    if BLANK_OR_COMMENT.fullmatch(line):
        return ""
    found = SETTING.fullmatch(line)
    if found is None:
        return (
            f"is '{line.strip()[:60]}', which programs read differently; write KEY=value, without "
            "backslashes and with quotes closed on the same line"
        )
    key, value = found["key"], found["value"].strip().strip("'\"")
    if RESERVED_NAMES.fullmatch(key):
        return f"sets {key}, which a recipe may not set"
    if key in ("TYPE", "RECIPE") and value.partition(":")[0] != recipe:
        return f"says that the recipe is '{value}', but it is '{recipe}'"
    return ""
