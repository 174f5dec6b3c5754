"""Parser for abra's command lines: the command, its flags and its arguments.

One letter means different things in different commands, so each command has its own table of flags. Flags
have to come before the arguments: abra up to 0.9 accepts no other order, and the harness sticks to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sandbox.standins.abra.log import Fatal

GLOBAL_FLAGS = {"n": "no-input", "o": "offline", "d": "debug"}
FLAGS_WITH_VALUE = frozenset({"server", "domain", "user"})
MAX_COMMAND_WORDS = 3  # as in `app secret generate`

Flags = dict[str, str]


@dataclass(frozen=True, slots=True)
class Syntax:
    """Flags and arguments that one command accepts.

    Attributes:
        flags: its own flags, space separated, each as `C:chaos`.
        min_args: number of arguments at least.
        max_args: number of arguments at most.
        tail: True if words may follow `--`.
    """

    flags: str
    min_args: int
    max_args: int
    tail: bool = False

    def letters(self) -> dict[str, str]:
        """Return the flags by letter, the global ones included."""
        own = dict(item.split(":", 1) for item in self.flags.split())
        return {**GLOBAL_FLAGS, **own}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A parsed command line: command, flags, arguments, and the words after `--`."""

    command: str
    flags: Flags
    args: tuple[str, ...]
    tail: tuple[str, ...]

    def has(self, flag: str) -> bool:
        """Return True if the flag was given."""
        return flag in self.flags


def find_command(words: Sequence[str], commands: Collection[str]) -> tuple[str, list[str]]:
    """Return the command that the first words name, and the other words, leading global flags included.

    Raises:
        Fatal: the stand-in does not support the command.
    """
    leading: list[str] = []
    rest = list(words)
    known = {*GLOBAL_FLAGS, *GLOBAL_FLAGS.values()}
    while rest and rest[0].startswith("-") and rest[0].lstrip("-") in known:
        leading.append(rest.pop(0))
    for count in range(MAX_COMMAND_WORDS, 0, -1):
        name = " ".join(rest[:count])
        if name in commands and len(rest) >= count:
            return name, leading + rest[count:]
    named = " ".join(word for word in rest[:MAX_COMMAND_WORDS] if not word.startswith("-"))
    raise Fatal(f"the stand-in does not support '{named}'")


def parse(command: str, words: Sequence[str], syntax: Syntax) -> CommandLine:
    """Parse the words after a command.

    Raises:
        Fatal: an unknown flag, a flag after an argument, or the wrong number of arguments.
    """
    head, tail = _split_tail(words, syntax)
    letters = syntax.letters()
    flags: Flags = {}
    args: list[str] = []
    queue = list(head)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            args.append(word)
            continue
        if args:
            raise Fatal(f"flag {word} comes after '{args[-1]}'; put flags first")
        for flag, value in _flags(word, letters):
            if flag in FLAGS_WITH_VALUE and value is None:
                if not queue:
                    raise Fatal(f"flag needs an argument: {word}")
                value = queue.pop(0)
            flags[flag] = value or ""
    if not syntax.min_args <= len(args) <= syntax.max_args:
        raise Fatal(f"'{command}' got {len(args)} arguments: {' '.join(args) or '(none)'}")
    return CommandLine(command, flags, tuple(args), tuple(tail))


def _split_tail(words: Sequence[str], syntax: Syntax) -> tuple[Sequence[str], Sequence[str]]:
    if "--" not in words:
        return words, ()
    if not syntax.tail:
        raise Fatal("this command takes nothing after '--'")
    at = list(words).index("--")
    return words[:at], words[at + 1 :]


def _flags(word: str, letters: dict[str, str]) -> list[tuple[str, str | None]]:
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        if name not in letters.values() or (equals and name not in FLAGS_WITH_VALUE):
            raise Fatal(f"unknown flag: {word}")
        return [(name, value if equals else None)]
    unknown = [letter for letter in word[1:] if letter not in letters]
    if unknown:
        raise Fatal(f"unknown shorthand flag: '{unknown[0]}' in {word}")
    return [(letters[letter], None) for letter in word[1:]]
