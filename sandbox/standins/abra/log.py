"""abra's log lines: a level and a sentence, on standard output as operators saw them."""

from __future__ import annotations

import sys


class Fatal(Exception):
    """Stops the command with one FATA line and exit code 1."""


def info(text: str, *, machine: bool = False) -> None:
    """Print an INFO line.

    Args:
        text: the sentence.
        machine: print to standard error, since standard output carries JSON. On a terminal both streams mix.
    """
    _print_line("INFO", text, machine=machine)


def warn(text: str, *, machine: bool = False) -> None:
    """Print a WARN line; arguments as for `info`."""
    _print_line("WARN", text, machine=machine)


def fatal(text: str) -> None:
    """Print a FATA line."""
    _print_line("FATA", text, machine=False)


def _print_line(level: str, text: str, *, machine: bool) -> None:
    stream = sys.stderr if machine else sys.stdout
    print(f"{level} {text}", file=stream, flush=True)
