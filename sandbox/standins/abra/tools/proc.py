"""The one place of the stand-in that starts processes: git and the docker CLI."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from sandbox.standins.abra.log import Fatal

LONG = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Done:
    """A finished command: its exit status and both streams."""

    status: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it said, for a FATA line."""
        return self.err.strip() or self.out.strip() or f"exit status {self.status}"


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
    timeout: float = LONG,
) -> Done:
    """Run a command without a terminal and return what it said.

    fds: descriptors it inherits. timeout: seconds.

    Raises:
        Fatal: it cannot be started or does not end.
    """
    try:
        done = subprocess.run(
            argv,
            env=None if env is None else dict(env),
            pass_fds=tuple(fds),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise Fatal(f"cannot run '{argv[0]}': {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Fatal(f"'{' '.join(argv[:3])}' did not end within {timeout:.0f} s") from error
    return Done(done.returncode, done.stdout, done.stderr)


def attached(argv: Sequence[str]) -> int:
    """Run a command on our own terminal and return its exit status."""
    sys.stdout.flush()
    return subprocess.run(argv, check=False).returncode


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the command, so that its exit status is ours."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(argv[0], list(argv))
