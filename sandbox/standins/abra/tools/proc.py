"""Child processes: the only module of this stand-in that starts any (git and the docker CLI)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from sandbox.standins.abra.log import Fatal

DEFAULT_TIMEOUT = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command: its exit code and both streams."""

    exit_code: int
    out: str
    err: str

    @property
    def error_text(self) -> str:
        """The command's output, for a FATA line."""
        return self.err.strip() or self.out.strip() or f"exit status {self.exit_code}"


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
    timeout: float = DEFAULT_TIMEOUT,
) -> Completed:
    """Run a command without a terminal and return its output.

    Args:
        argv: the command.
        env: its complete environment; that of this process if None.
        fds: file descriptors that it inherits.
        timeout: seconds.

    Raises:
        Fatal: it cannot be started, or it times out.
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
        raise Fatal(f"'{' '.join(argv[:3])}' timed out after {timeout:.0f} s") from error
    return Completed(done.returncode, done.stdout, done.stderr)


def run_attached(argv: Sequence[str]) -> int:
    """Run a command on our own terminal and return its exit code."""
    sys.stdout.flush()
    return subprocess.run(argv, check=False).returncode


def become(argv: Sequence[str]) -> NoReturn:
    """Replace this process by the command, whose exit code becomes that of this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execvp(argv[0], list(argv))
