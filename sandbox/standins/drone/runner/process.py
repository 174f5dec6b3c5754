"""Runs the shell of one step, in the runner's own process group as Drone does.

A step has finished when its shell has exited and no process holds its output pipe any more. To stop a step
only its shell is killed: processes that it has started keep running. Their output is still read, so that they
can go on writing, but it is dropped.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.standins.drone.server.assignment import Assignment

MAX_READ = 32 * 1024  # bytes


class CannotStart(Exception):
    """The kernel does not start a shell with this environment."""


def run(
    assignment: Assignment,
    script: Path,
    cwd: Path,
    env: Mapping[str, str],
    sink: Callable[[bytes], None],
) -> int | None:
    """Run a script and return its exit code, None if it was stopped.

    Args:
        assignment: the stage; says when to stop.
        script: path of the script.
        cwd: folder in which it runs.
        env: its complete environment.
        sink: called with the output of each read.

    Raises:
        CannotStart: no shell can be started with this environment.
    """
    read, write = os.pipe()
    try:
        shell = subprocess.Popen(
            ["/bin/sh", "-e", str(script)],
            cwd=cwd,
            env=kernel_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
        )
    except (OSError, ValueError) as error:
        os.close(read)
        raise CannotStart(f"exec: {error}") from error
    finally:
        os.close(write)
    threads = [
        threading.Thread(target=_forward_output, args=(read, sink), daemon=True),
        threading.Thread(target=shell.wait, daemon=True),
    ]
    for thread in threads:
        thread.start()
    threading.Thread(target=_signal_end, args=(assignment, threads), daemon=True).start()
    while any(thread.is_alive() for thread in threads):
        if assignment.stopped:
            shell.kill()
            shell.wait()
            return None
        assignment.changed.wait(assignment.seconds_left)
        assignment.changed.clear()
    return shell.returncode if shell.returncode >= 0 else -1


def kernel_environment(values: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return an environment as the kernel sees it: a name that contains `=` is cut there."""
    entries = (f"{name}={value}".encode(errors="surrogateescape") for name, value in values.items())
    cut = (entry.partition(b"=") for entry in entries)
    return {name: value for name, _, value in cut if name}


def _signal_end(assignment: Assignment, threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    assignment.changed.set()


def _forward_output(read: int, sink: Callable[[bytes], None]) -> None:
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while chunk := pipe.read(MAX_READ):
            sink(chunk)
