"""Runs the set-up's commands, with a time limit and a line of progress every ten seconds."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from contract.verdicts import USAGE_EXIT_CODE

STARTED = time.monotonic()
HEARTBEAT = 10.0  # seconds


class SetupError(Exception):
    """The sandbox cannot go on; the message says what it did, what it saw and what to try."""

    exit_code: ClassVar[int] = 1


class UsageError(SetupError):
    """A command was called with wrong arguments."""

    exit_code = USAGE_EXIT_CODE


def say(text: str) -> None:
    """Print a line with the time since the start."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", flush=True)


def run(
    argv: Sequence[str | Path],
    *,
    doing: str = "",
    timeout: float = 300.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> str:
    """Run a command and return its standard output.

    Args:
        argv: the command.
        doing: printed before it runs, and its name in errors.
        timeout: seconds.
        cwd: working directory.
        env: the complete environment, ours if None.
        stdin: its input.

    Raises:
        SetupError: it failed or timed out; the message has the end of its output.
    """
    words = [str(word) for word in argv]
    if doing:
        say(f"{doing} …")
    name = doing or " ".join(words[:4])
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        source = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                words, cwd=cwd, env=env, stdin=source, stdout=out, stderr=err
            )
        except OSError as error:
            raise SetupError(f"{name}: cannot start '{words[0]}': {error.strerror}") from error
        if stdin is not None and process.stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
        exit_code = _wait(process, name, timeout)
        out.seek(0)
        err.seek(0)
        text, errors = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if exit_code != 0:
        tail = "\n  ".join((errors.strip() or text.strip()).splitlines()[-15:])
        raise SetupError(f"{name} failed with exit code {exit_code}:\n  {tail or '(no output)'}")
    return text


def works(argv: Sequence[str | Path], *, timeout: float = 30.0) -> bool:
    """Return True if a command exits with code 0."""
    try:
        run(argv, timeout=timeout)
    except SetupError:
        return False
    return True


def _wait(process: subprocess.Popen[bytes], name: str, timeout: float) -> int:
    start = time.monotonic()
    while True:
        try:
            return process.wait(HEARTBEAT)
        except subprocess.TimeoutExpired:
            spent = time.monotonic() - start
            if spent > timeout:
                process.kill()
                process.wait()
                raise SetupError(f"{name} timed out after {timeout:.0f} s") from None
            say(f"  {name}: {spent:.0f} s so far")
        except KeyboardInterrupt:
            process.terminate()
            sys.exit(130)
