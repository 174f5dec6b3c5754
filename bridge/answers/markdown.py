"""Foreign text in a comment: it is seen as it is and can do nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST_CODE = 300  # characters of foreign text within a sentence
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 ,;.()'?→–-]*(: [A-Za-z0-9 ,;.()'?→–-]*)*")
ANSI = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")


def flat(text: str) -> str:
    """Return text in one line of printable characters."""
    plain = " ".join(ANSI.sub("", text).split())
    return "".join(c if c.isprintable() else "\ufffd" for c in plain)


def code(text: str) -> str:
    """Return foreign text as code, in which a forge mentions nobody and links nothing."""
    short = flat(text).replace("`", "´")
    short = short if len(short) <= LONGEST_CODE else short[: LONGEST_CODE - 1] + "…"
    return f"`{short}`" if short else ""


def prose(text: str) -> str:
    """Return foreign text as it is where it is made of plain words only, else as code."""
    short = flat(text)
    plain = PLAIN.fullmatch(short) and "www" not in short.lower() and len(short) <= LONGEST_CODE
    return short if plain else code(text)


def cell(text: str) -> str:
    """Return foreign text for a table, whose bars code does not protect."""
    return prose(text).replace("|", "\\|")


def block(lines: Sequence[str], language: str = "text") -> str:
    """Return foreign lines as a block of code whose fence is longer than any within."""
    clean = [_printable(line) for line in lines]
    longest = max((len(run) for line in clean for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *clean, fence])


def _printable(line: str) -> str:
    plain = ANSI.sub("", line).replace("\t", "    ").rstrip()
    return "".join(c if c.isprintable() else "\ufffd" for c in plain)
