"""Runs one step's shell, in the runner's own process group, as Drone does.

A step is over when its shell has ended and nobody holds its output any more. A step that must
stop has its shell killed, and nothing else: what the shell had started goes on, and its output is
read and dropped, so that it can go on writing.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.standins.drone.server.build_service import Turn

CHUNK = 32 * 1024  # bytes that one read takes at most


class CannotStart(Exception):
    """The system refuses to start a shell."""


def run(
    turn: Turn, script: Path, cwd: Path, env: Mapping[str, str], sink: Callable[[bytes], None]
) -> int | None:
    """Run a script; return its exit status, None when it was killed.

    Raises:
        CannotStart: no shell can be started with this environment.
    """
    read, write = os.pipe()
    try:
        shell = subprocess.Popen(
            ["/bin/sh", "-e", str(script)],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=write,
            stderr=write,
        )
    except (OSError, ValueError) as error:
        os.close(read)
        raise CannotStart(f"exec: {error}") from error
    finally:
        os.close(write)
    waits = [
        threading.Thread(target=_pump, args=(read, sink), daemon=True),
        threading.Thread(target=shell.wait, daemon=True),
    ]
    for thread in waits:
        thread.start()
    threading.Thread(target=_tell, args=(turn, waits), daemon=True).start()
    while any(thread.is_alive() for thread in waits):
        if turn.stopped:
            shell.kill()
            shell.wait()
            return None
        turn.news.wait(turn.seconds_left)
        turn.news.clear()
    return shell.returncode if shell.returncode >= 0 else -1


def environment(values: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return an environment as the kernel will see it: names are cut at their first `=`."""
    entries = (f"{name}={value}".encode(errors="surrogateescape") for name, value in values.items())
    cut = (entry.partition(b"=") for entry in entries)
    return {name: value for name, _, value in cut if name}


def _tell(turn: Turn, waits: list[threading.Thread]) -> None:
    for thread in waits:
        thread.join()
    turn.news.set()


def _pump(read: int, sink: Callable[[bytes], None]) -> None:
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while chunk := pipe.read(CHUNK):
            sink(chunk)
