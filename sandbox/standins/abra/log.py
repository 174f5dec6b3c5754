"""abra's log lines: a level and a sentence, on standard output, where operators saw them."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


class Fatal(Exception):
    """Ends the command with one FATA line and exit status 1."""


def info(text: str, *, machine: bool = False) -> None:
    """Print an INFO line; with `machine` to standard error: a terminal mixes it with JSON."""
    _line("INFO", text, machine=machine)


def warn(text: str, *, machine: bool = False) -> None:
    """Print a WARN line; `machine` as for `info`."""
    _line("WARN", text, machine=machine)


def fatal(text: str) -> None:
    """Print a FATA line."""
    _line("FATA", text, machine=False)


def leave(text: str) -> NoReturn:
    """Stop the command.

    Raises:
        Fatal: always.
    """
    raise Fatal(text)


def needs_terminal() -> None:
    """Refuse to go on without a terminal, as several abra commands do even with `--no-input`.

    Raises:
        Fatal: standard input or output is no terminal.
    """
    if not (_is_terminal(0) and _is_terminal(1)):
        leave("inappropriate ioctl for device")


def needs_terminal_for_exec() -> None:
    """Refuse to start a command in a container with a terminal when there is none here.

    Raises:
        Fatal: standard input is no terminal.
    """
    if not _is_terminal(0):
        leave("the input device is not a TTY")


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _line(level: str, text: str, *, machine: bool) -> None:
    stream = sys.stderr if machine else sys.stdout
    print(f"{level} {text}", file=stream, flush=True)
