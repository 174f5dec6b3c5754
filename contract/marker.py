"""Marked lines: lines of a build's log that the harness itself wrote.

The output of apps and tests goes through the same log. So a marked line must start with the marker, hold
one JSON object and nothing else, and be plain ASCII, so that no reader sees a line break inside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MARKER = "::cc-ci:: "
MAX_LINE = 200_000  # characters; a longer line is not read


def encode(row: Mapping[str, Any]) -> str:
    """Return a JSON object as a marked line, without a line break."""
    return MARKER + json.dumps(row)


def decode(line: str) -> dict[str, Any] | None:
    """Return the object in a marked line, or None if the line is not a valid marked line."""
    if not line.startswith(MARKER) or len(line) > MAX_LINE:
        return None
    try:
        row = json.loads(line.removeprefix(MARKER))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def quote_markers(text: str) -> str:
    """Return untrusted output in which no line can pass for a marked one: such lines start with "| ".

    Pass whole lines: a marker that arrives in two pieces is not recognised.
    """
    mark = MARKER.strip()
    lines = text.splitlines(keepends=True)  # splits at every line break that any reader knows
    return "".join(f"| {line}" if mark in line else line for line in lines)
