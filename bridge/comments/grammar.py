"""What a comment asks for: a pure function of its text."""

from __future__ import annotations

import re
from enum import StrEnum

WORD = "!testme"
BLANKS = " \t\r\n"  # a forge gives a comment back byte for byte, line ends of browsers too
FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
QUOTE = re.compile(r"^ {0,3}>")
INDENTED = re.compile(r"^( {4}|\t)")
LONGEST = 100_000  # characters of a comment that are looked at


class Command(StrEnum):
    """What a person asks for."""

    COLD = "cold"
    QUICK = "quick"
    CANCEL = "cancel"
    HELP = "help"
    UNKNOWN = "unknown"

    @property
    def starts(self) -> bool:
        """Whether it asks for a run."""
        return self in (Command.COLD, Command.QUICK)


def parse_trigger(body: object) -> tuple[bool, bool]:
    """Return (is a trigger, is quick) for a comment's text.

    Exactly `!testme` and exactly `!testme --quick` are triggers, blanks around them aside; nothing else is.
    """
    text = body.strip(BLANKS) if isinstance(body, str) else ""
    return {WORD: (True, False), f"{WORD} --quick": (True, True)}.get(text, (False, False))


def parse_command(body: object) -> Command | None:
    """Return what a comment asks for, None where it does not speak to us.

    The triggers first; then `!testme cancel` and `!testme help`; any other line of ordinary text that
    starts with `!testme ` is UNKNOWN. Quotes and code are not spoken to us.
    """
    is_trigger, quick = parse_trigger(body)
    if is_trigger:
        return Command.QUICK if quick else Command.COLD
    if not isinstance(body, str):
        return None
    text = body.strip(BLANKS)
    if text in (f"{WORD} cancel", f"{WORD} help"):
        return Command(text.removeprefix(f"{WORD} "))
    spoken = (line.strip(BLANKS) for line in _ordinary_lines(body[:LONGEST]))
    return Command.UNKNOWN if any(line.startswith(f"{WORD} ") for line in spoken) else None


def _ordinary_lines(text: str) -> list[str]:
    """Return the lines that are neither quoted nor code."""
    found, fence = [], ""
    for line in text.split("\n"):
        opening = FENCE.match(line)
        if fence:
            closes = opening is not None and opening[1].startswith(fence)
            fence = "" if closes and not line.strip(f"{BLANKS}{fence[0]}") else fence
        elif opening:
            fence = opening[1]
        elif not QUOTE.match(line) and not INDENTED.match(line):
            found.append(line)
    return found
