"""Commands in comments: pure functions of the text."""

from __future__ import annotations

import re

from bridge.model import Command

WORD = "!testme"
WHITESPACE = " \t\r\n"  # a forge returns a comment byte for byte, with the line ends of browsers
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
QUOTE = re.compile(r"^ {0,3}>")
INDENTED = re.compile(r"^( {4}|\t)")
MAX_COMMENT = 100_000  # characters that are read


def parse_trigger(body: object) -> tuple[bool, bool]:
    """Return (is a trigger, is quick) for the text of a comment.

    Exactly `!testme` and `!testme --quick` are triggers, apart from whitespace around them.
    """
    text = body.strip(WHITESPACE) if isinstance(body, str) else ""
    return {WORD: (True, False), f"{WORD} --quick": (True, True)}.get(text, (False, False))


def parse_command(body: object) -> Command | None:
    """Return the command in a comment, None if there is none.

    Triggers, `!testme cancel` and `!testme help` must be the whole comment. Any other line that starts with
    `!testme ` is UNKNOWN, unless it is in a quote or in code.
    """
    is_trigger, quick = parse_trigger(body)
    if is_trigger:
        return Command.QUICK if quick else Command.COLD
    if not isinstance(body, str):
        return None
    text = body.strip(WHITESPACE)
    if text in (f"{WORD} cancel", f"{WORD} help"):
        return Command(text.removeprefix(f"{WORD} "))
    lines = (line.strip(WHITESPACE) for line in _plain_lines(body[:MAX_COMMENT]))
    return Command.UNKNOWN if any(line.startswith(f"{WORD} ") for line in lines) else None


def _plain_lines(text: str) -> list[str]:
    """Return the lines that are neither quoted nor code."""
    found, fence = [], ""
    for line in text.split("\n"):
        opening = FENCE.match(line)
        if fence:
            closes = opening is not None and opening[1].startswith(fence)
            fence = "" if closes and not line.strip(f"{WHITESPACE}{fence[0]}") else fence
        elif opening:
            fence = opening[1]
        elif not QUOTE.match(line) and not INDENTED.match(line):
            found.append(line)
    return found
