"""Parser for env files and the exports of abra.sh; variable references; the name of a stack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.abra.log import Fatal

MAX_STACK_NAME = 45  # characters; abra cuts the domain there
ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)=(.*)$")
EXPORT = re.compile(r"^export\s+([A-Za-z_][A-Za-z0-9_]*)=(.*)$")
RECIPE_LINE = re.compile(r"^(TYPE|RECIPE)=([\"']?)([^\s\"'#]*)(.*)$", re.MULTILINE)
REFERENCE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)"
    r"|\{(?P<name>[A-Za-z_]\w*)(?:(?P<op>:?[-?+])(?P<rest>[^}]*))?\})"
)
MODIFIER = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True, slots=True)
class EnvFile:
    """A parsed env file: values by key, and the modifiers in the comment after each value."""

    values: dict[str, str]
    modifiers: dict[str, dict[str, str]]

    @property
    def recipe(self) -> str:
        """The recipe's name, without the version that abra writes after it."""
        return self._pin.partition(":")[0]

    @property
    def version(self) -> str:
        """The version or short hash that the file pins, "" without one."""
        return self._pin.partition(":")[2]

    @property
    def _pin(self) -> str:
        return self.values.get("RECIPE") or self.values.get("TYPE") or ""


def parse(text: str) -> EnvFile:
    """Parse the text of an env file; a later value may refer to an earlier one."""
    values: dict[str, str] = {}
    modifiers: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        found = ASSIGNMENT.match(line)
        if found is None:
            continue
        raw, quote, comment = _split(found[2].strip())
        values[found[1]] = raw if quote == "'" else interpolate(raw, values)
        modifiers[found[1]] = dict(MODIFIER.findall(comment))
    return EnvFile(values, modifiers)


def read(path: Path) -> EnvFile:
    """Read an env file.

    Raises:
        Fatal: it cannot be read.
    """
    try:
        return parse(path.read_text())
    except OSError as error:
        raise Fatal(f"cannot read '{path}': {error.strerror}") from error


def _split(text: str) -> tuple[str, str, str]:
    """Split the text after the equals sign into value, quote character and comment."""
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        if end > 0:
            return text[1:end], text[0], text[end + 1 :].partition("#")[2]
    if text.startswith("#"):
        return "", "", text[1:]
    value, _, comment = text.partition(" #")
    return value.rstrip(), "", comment


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Replace `$X`, `${X}`, `${X:-default}`, `${X:?error}` and `${X:+other}`; unknown variables are empty.

    Raises:
        Fatal: a variable that `${X:?error}` requires is not set.
    """

    def replacement(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        if found["plain"]:
            return values.get(found["plain"], "")
        name, op, rest = found["name"], found["op"] or "", found["rest"] or ""
        is_set = bool(values.get(name)) if op.startswith(":") else name in values
        if op.endswith("+"):
            return rest if is_set else ""
        if is_set or not op:
            return values.get(name, "")
        if op.endswith("?"):
            raise Fatal(f"required variable {name} is missing a value: {rest}")
        return rest

    return REFERENCE.sub(replacement, text)


def exports(text: str) -> dict[str, str]:
    """Return the variables of the `export X=value` lines in an abra.sh; the script is not run."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = EXPORT.match(line)
        if match:
            found[match[1]] = _split(match[2].strip())[0]
    return found


def pin(text: str, version: str) -> str:
    """Return env-file text with the version after the recipe's name in its TYPE or RECIPE line.

    Raises:
        Fatal: there is no such line.
    """
    if not RECIPE_LINE.search(text):
        raise Fatal("no TYPE or RECIPE line in the env file")

    def pinned(found: re.Match[str]) -> str:
        recipe = found[3].partition(":")[0]
        return f"{found[1]}={found[2]}{recipe}:{version}{found[4]}"

    return RECIPE_LINE.sub(pinned, text, count=1)


def stack_name(domain: str, values: Mapping[str, str]) -> str:
    """Return the name of the app's stack: STACK_NAME, else its domain with underscores, cut."""
    return values.get("STACK_NAME") or domain.replace(".", "_")[:MAX_STACK_NAME]
