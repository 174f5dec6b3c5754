"""What a recipe's `.env.sample` may say: lines that every reader reads alike, and no key of ours.

abra, Docker and this harness read such files each in their own way. What they could take for different
values is refused: otherwise one would be looked at and another be deployed.
"""

from __future__ import annotations

import re

RESERVED_NAMES = re.compile(
    r"STACK_NAME|PATH|IFS|CDPATH|BASH_ENV|SHELLOPTS|BASHOPTS|PROMPT_COMMAND|PS4|GLOBIGNORE|GODEBUG"
    r"|LD_\w+|ABRA_\w+|CCCI_\w+|SSH_ASKPASS|SSH_AUTH_SOCK"
    r"|GIT_(?:DIR|WORK_TREE|EXEC_PATH|TEMPLATE_DIR|ASKPASS|EDITOR|PAGER|SSH\w*|CONFIG\w*|EXTERNAL_DIFF)"
    r"|DOCKER_(?:HOST|CONFIG|CONTEXT|CERT_PATH|TLS\w*|API_VERSION|CLI_\w+|CUSTOM_HEADERS)"
)
PROSE = re.compile(r"[ \t]*(?:#.*)?")
SETTING = re.compile(
    r"[ \t]*(?P<key>[A-Za-z_][A-Za-z0-9_]*)="
    r"""(?P<value>"[^"\\]*"|'[^']*'|(?:[^\s"'\\#](?:[^\\\s#]++|[ \t]++(?!\#)|(?<=\S)\#)*+)?)"""
    r"[ \t]*(?:\#.*)?"
)
STRANGE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x85\u2028\u2029]")


def problem(text: str, recipe: str) -> str:
    """Return the first line that may not stand in a recipe's sample and why, "" where all may."""
    for number, line in enumerate(text.split("\n"), 1):
        why = _line(line.removesuffix("\r"), recipe)
        if why:
            return f"line {number} {why}"
    return ""


def _line(line: str, recipe: str) -> str:
    strange = STRANGE.search(line)
    if strange:
        return (
            f"holds the control character {strange[0]!r}, which some readers take for a line's end"
        )
    if PROSE.fullmatch(line):
        return ""
    found = SETTING.fullmatch(line)
    if found is None:
        return (
            f"is '{line.strip()[:60]}', which is not read alike everywhere; write it as KEY=value, "
            "in quotes that end on that line, without a backslash"
        )
    key, value = found["key"], found["value"].strip().strip("'\"")
    if RESERVED_NAMES.fullmatch(key):
        return f"sets {key}, which is not the recipe's to set"
    if key in ("TYPE", "RECIPE") and value.partition(":")[0] != recipe:
        return f"says that the recipe is '{value}', but it is '{recipe}'"
    return ""
