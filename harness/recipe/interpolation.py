"""Variables in compose files, replaced like docker/cli does: in values, never in keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_]\w*)|"
    r"\{(?P<braced>[A-Za-z_]\w*)(?P<kind>:?[-+?])?(?P<word>(?:\$\{[^{}]*\}|[^{}])*)\})"
)


def interpolated(value: Any, env: Mapping[str, str]) -> Any:
    """Return a value of a compose file with its variables replaced, at any depth.

    Args:
        value: any YAML value; maps keep their keys unchanged.
        env: the variables. One that is missing is replaced by "".
    """
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _variable(match, env), value)
    if isinstance(value, dict):
        return {key: interpolated(item, env) for key, item in value.items()}
    return [interpolated(item, env) for item in value] if isinstance(value, list) else value


def _variable(match: re.Match[str], env: Mapping[str, str]) -> str:
    """Return the value of one `${…}`; with a colon, an empty variable counts as unset."""
    if match["escaped"]:
        return "$"
    kind, key = match["kind"] or "", match["braced"] or match["plain"]
    found = env.get(key, "")
    is_set = bool(found) if kind.startswith(":") else key in env
    word = str(interpolated(match["word"] or "", env))
    if kind.endswith("-"):
        return found if is_set else word
    return (word if is_set else "") if kind.endswith("+") else found
