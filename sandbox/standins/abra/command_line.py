"""Reading a command line: which command, which of its own flags, which names.

One letter means many things in abra, hence a table per command. Flags must stand before the names:
abra up to 0.9 reads nothing else, and what is never relied on cannot break.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.standins.abra.log import Fatal

GLOBAL = {"n": "no-input", "o": "offline", "d": "debug"}
VALUED = frozenset({"server", "domain", "user"})

Flags = dict[str, str]


@dataclass(frozen=True, slots=True)
class Syntax:
    """What one command takes.

    flags: its letters, space separated as `C:chaos`. least, most: how many names, `most` None for
    any number. tail: whether words may follow `--`.
    """

    flags: str
    least: int
    most: int | None
    tail: bool = False

    def letters(self) -> dict[str, str]:
        """Return every letter of the command, the global ones included."""
        own = dict(item.split(":", 1) for item in self.flags.split())
        return {**GLOBAL, **own}


@dataclass(frozen=True, slots=True)
class Line:
    """A command line: the command's words, its flags, names, and what stood behind `--`."""

    command: str
    flags: Flags
    names: tuple[str, ...]
    tail: tuple[str, ...]

    def has(self, flag: str) -> bool:
        """Say whether a flag was given."""
        return flag in self.flags


def find(words: Sequence[str], table: dict[str, Syntax]) -> tuple[str, list[str]]:
    """Return the command that the first words name, and the rest with leading global flags.

    Raises:
        Fatal: not a command of the table.
    """
    leading: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0].lstrip("-") in {*GLOBAL, *GLOBAL.values()}:
        leading.append(rest.pop(0))
    for count in (3, 2, 1):
        name = " ".join(rest[:count])
        if name in table and len(rest) >= count:
            return name, leading + rest[count:]
    named = " ".join(word for word in rest[:3] if not word.startswith("-"))
    raise Fatal(f"'{named}' is not modelled")


def parse(command: str, words: Sequence[str], syntax: Syntax) -> Line:
    """Read flags, names and tail of a command.

    Raises:
        Fatal: an unknown flag, a flag behind a name, or the wrong number of names.
    """
    head, tail = _cut(words, syntax)
    letters = syntax.letters()
    flags: Flags = {}
    names: list[str] = []
    queue = list(head)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            names.append(word)
            continue
        if names:
            raise Fatal(f"flag {word} stands behind '{names[-1]}'; flags come first")
        for flag, value in _flags(word, letters):
            if flag in VALUED and value is None:
                if not queue:
                    raise Fatal(f"flag needs an argument: {word}")
                value = queue.pop(0)
            flags[flag] = value or ""
    if len(names) < syntax.least or (syntax.most is not None and len(names) > syntax.most):
        raise Fatal(f"'{command}' got {len(names)} arguments: {' '.join(names) or '(none)'}")
    return Line(command, flags, tuple(names), tuple(tail))


def _cut(words: Sequence[str], syntax: Syntax) -> tuple[Sequence[str], Sequence[str]]:
    if "--" not in words:
        return words, ()
    if not syntax.tail:
        raise Fatal("nothing may follow '--' here")
    at = list(words).index("--")
    return words[:at], words[at + 1 :]


def _flags(word: str, letters: dict[str, str]) -> list[tuple[str, str | None]]:
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        if name not in letters.values() or (equals and name not in VALUED):
            raise Fatal(f"unknown flag: {word}")
        return [(name, value if equals else None)]
    unknown = [letter for letter in word[1:] if letter not in letters]
    if unknown:
        raise Fatal(f"unknown shorthand flag: '{unknown[0]}' in {word}")
    return [(letters[letter], None) for letter in word[1:]]
