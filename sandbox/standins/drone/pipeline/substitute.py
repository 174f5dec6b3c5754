"""`${NAME}` in a pipeline's text, replaced before the text is read as YAML.

A value becomes part of the text as it is: it can end a command, open a quote or break the YAML.
Measured: `$${X}` gives `${X}`, `$$` gives `$`, an unset name gives nothing, `$X` stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.standins.drone.pipeline.quote import quote

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SubstituteError(Exception):
    """The text between the braces is not a name."""


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its names replaced.

    Raises:
        SubstituteError: braces do not close, or hold anything but a name.
    """
    found: list[str] = []
    at = 0
    while (sign := text.find("$", at)) >= 0:
        found.append(text[at:sign])
        following = text[sign + 1 : sign + 2]
        if following == "$":
            found.append("$")
            at = sign + 2
        elif following == "{":
            value, at = _braces(text, sign + 2, values)
            found.append(value)
        else:
            found.append("$")
            at = sign + 1
    return "".join(found) + text[at:]


def _braces(text: str, start: int, values: Mapping[str, str]) -> tuple[str, int]:
    name = NAME.match(text, start)
    if name is None or text[name.end() : name.end() + 1] != "}":
        raise SubstituteError(
            "bad substitution"
        )  # a real one also knows ${X:-default} and the like
    value = values.get(name[0], "")
    return (quote(value) if "\n" in value else value), name.end() + 1
