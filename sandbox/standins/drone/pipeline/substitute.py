"""Replaces `${NAME}` in a pipeline's text before the text is parsed as YAML.

A value is inserted unchanged: it can end a command, open a quote or break the YAML. Measured: `$${X}` becomes
`${X}`, `$$` becomes `$`, an unset name becomes nothing, `$X` stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sandbox.standins.drone.pipeline.quote import quote

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SubstituteError(Exception):
    """The text between the braces is not a variable name."""


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its variables replaced.

    Raises:
        SubstituteError: braces are not closed, or contain something other than a name.
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
        # A real Drone supports ${X:-default} and the like as well.
        raise SubstituteError("bad substitution")
    value = values.get(name[0], "")
    return (quote(value) if "\n" in value else value), name.end() + 1
