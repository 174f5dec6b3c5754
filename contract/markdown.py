"""Untrusted text in Markdown: readers see it as it is, and a forge does not act on it.

There are two ways. `escape` keeps text in a sentence, for a file that a forge may render. `code_span`,
`prose`, `table_cell` and `fence` use code, for a comment, where a mention would notify people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_CODE = 300  # characters of untrusted text within a sentence
TAB = "    "
ZERO_WIDTH_SPACE = "\u200b"  # a name, link or number that contains it means nothing to a forge
ANSI = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?)")
PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#|!~&$])")
TRIGGERS = re.compile(r"(@|#|!|://|(?<!\d):(?=[A-Za-z0-9_+-]+:)|(?<![\w.])www(?=\.))")
OPENING = re.compile(r"^([-+=]|\d+(?=[.)]))")
PLAIN_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9 ,;.()'?→–-]*(: [A-Za-z0-9 ,;.()'?→–-]*)*")


def strip_ansi(text: str) -> str:
    """Return text without terminal escape sequences."""
    return ANSI.sub("", text)


def printable(text: str) -> str:
    """Return text in one line: each whitespace character as a space, other invisible ones as U+FFFD."""
    spaced = "".join(" " if c.isspace() else c for c in strip_ansi(text))
    return _visible(spaced)


def one_line(text: str) -> str:
    """Return text in one line of printable characters, with single spaces between words."""
    return _visible(" ".join(strip_ansi(text).split()))


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def escape(text: str) -> str:
    """Return text in one line without anything that Markdown or a forge would act on.

    Nobody is mentioned, nothing is linked, no other issue is referred to; the text looks the same.
    """
    apart = TRIGGERS.sub(rf"\g<1>{ZERO_WIDTH_SPACE}", one_line(text))
    return OPENING.sub(_escape_opening, PUNCTUATION.sub(r"\\\1", apart))


def _escape_opening(opening: re.Match[str]) -> str:
    return f"{opening[1]}{ZERO_WIDTH_SPACE}" if opening[1].isdigit() else f"\\{opening[1]}"


def code_span(text: str, max_length: int = MAX_CODE) -> str:
    """Return text as code within a line, cut to a length in characters; "" for an empty text."""
    short = one_line(text).replace("`", "´")
    short = short if len(short) <= max_length else short[: max_length - 1] + "…"
    return f"`{short}`" if short else ""


def prose(text: str) -> str:
    """Return text as it is if it has plain words only, else as code."""
    short = one_line(text)
    plain = PLAIN_WORDS.fullmatch(short) and "www" not in short.lower()
    return short if plain and len(short) <= MAX_CODE else code_span(text)


def table_cell(text: str) -> str:
    """Return text for a cell of a table, in which code does not protect bars."""
    return prose(text).replace("|", "\\|")


def fence(lines: Iterable[str], language: str = "") -> str:
    """Return lines as a block of code whose fence is longer than any within."""
    shown = [_visible(strip_ansi(line).replace("\t", TAB).rstrip()) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([f"{ticks}{language}", *shown, ticks])
