"""Run commands: argument lists, a process group of their own, a timeout.

`subprocess.run(timeout=...)` kills only the direct child and leaves grandchildren running, so each
command gets a process group, which is terminated as a whole. Commands that need a terminal get a
pseudo-terminal; its output is one stream.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pty
import re
import resource
import selectors
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import CommandFailed, TimedOut
from harness.host import signals
from harness.host.wait import HEARTBEAT_INTERVAL

log = logging.getLogger(__name__)

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
MAX_OUTPUT = 16 * 1024 * 1024  # bytes of each stream that are kept
KILL_DELAY = 5.0  # seconds between SIGTERM and SIGKILL


class CommandTimedOut(TimedOut):
    """A command timed out and was killed; `output` is what it had printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True, slots=True)
class Completed:
    """A finished command: arguments, exit code, both streams and duration in seconds."""

    argv: tuple[str, ...]
    exit_code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """Both streams, for messages and for tools that log to either."""
        return "\n".join(part for part in (self.out.strip(), self.err.strip()) if part)


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    terminal: bool = False,
    check: bool = True,
    progress: Callable[[str], None] = lambda line: None,
    shown: str | None = None,
    keep_last: int = 0,
    max_file_size: int | None = None,
) -> Completed:
    """Run one command until it exits and return its output.

    Args:
        argv: the program and its arguments.
        timeout: seconds; then the whole process group is terminated.
        cwd: where it runs; the current directory if None.
        env: the complete environment; the harness's own if None.
        stdin: bytes for its standard input.
        terminal: give it a pseudo-terminal. Both streams arrive in `out`, without colours and CRs.
        check: an exit code other than 0 is an error.
        progress: receives a line every 10 s.
        shown: the command's name in messages, if its arguments contain a secret.
        keep_last: keep this many of the last bytes of each stream; the first 16 MiB if 0.
        max_file_size: bytes that it or a child may write into one file; the kernel kills it beyond.

    Raises:
        CommandFailed: it could not be started, or `check` and its exit code is not 0.
        CommandTimedOut: it still ran after `timeout` seconds.
    """
    words = tuple(str(word) for word in argv)
    name = shown or " ".join(words[:6])
    log.debug("run %s", name)
    start = time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    streams: list[int] = []
    try:
        # an exception between fork and assignment would lose the process
        with signals.deferred(), _limited(max_file_size):
            process, streams = _start(words, cwd, env, stdin, terminal, name)
        out, err = _collect(process, streams, start + timeout, name, progress, keep_last)
        exit_code = process.wait()
    except BaseException:
        if process is not None:
            terminate_group(process)
        raise
    finally:
        _close(streams)
    done = Completed(
        words, exit_code, _clean(out, terminal), _clean(err, terminal), time.monotonic() - start
    )
    if check and exit_code != 0:
        raise CommandFailed(_failure(name, done))
    return done


def terminate_group(process: subprocess.Popen[bytes]) -> None:
    """Stop a command's whole process group: SIGTERM, after 5 s SIGKILL."""
    with signals.deferred():  # an interrupt in between would leave the rest of the group running
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            try:
                process.wait(KILL_DELAY)
            except subprocess.TimeoutExpired:
                continue
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _limited(max_file_size: int | None) -> Iterator[None]:
    """Limit the file sizes of a process that is started in the `with` block.

    A limit that is set after its start could come too late.
    """
    if max_file_size is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = max_file_size if hard == resource.RLIM_INFINITY else min(max_file_size, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _start(
    words: tuple[str, ...],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    stdin: bytes | None,
    terminal: bool,
    name: str,
) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start the command; return it and the file descriptors to read (out, err)."""
    environment = dict(os.environ if env is None else env)
    slave = None
    if terminal:
        master, slave = pty.openpty()
        _disable_echo(slave)
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=environment,
            stdin=slave if terminal else (subprocess.PIPE if stdin else subprocess.DEVNULL),
            stdout=slave if terminal else subprocess.PIPE,
            stderr=slave if terminal else subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"could not start '{name}': {error.strerror or error}") from error
    finally:
        if slave is not None:
            os.close(slave)
    if terminal:
        return process, [master]
    assert process.stdout is not None and process.stderr is not None
    if stdin and process.stdin is not None:
        _feed(process.stdin, stdin)
    streams = [os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno())]
    process.stdout.close()
    process.stderr.close()
    return process, streams


def _close(streams: Sequence[int]) -> None:
    for fd in streams:
        with contextlib.suppress(OSError):
            os.close(fd)


def _feed(stream: IO[bytes], data: bytes) -> None:
    """Write a command's whole input and close it, even if the command reads only a part."""
    with contextlib.suppress(BrokenPipeError):
        stream.write(data)
    with contextlib.suppress(BrokenPipeError):
        stream.close()


def _disable_echo(slave: int) -> None:
    """Turn echo off, so that input does not appear in the output; set a wide window."""
    attributes = termios.tcgetattr(slave)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    termios.tcsetwinsize(slave, (50, 400))


def _collect(
    process: subprocess.Popen[bytes],
    streams: list[int],
    deadline: float,
    name: str,
    progress: Callable[[str], None],
    keep_last: int,
) -> tuple[bytes, bytes]:
    """Read the streams until they close, the process exits, or the deadline passes."""
    chunks: dict[int, bytearray] = {fd: bytearray() for fd in streams}
    started = last = time.monotonic()
    exited = False
    with selectors.DefaultSelector() as selector:
        for fd in streams:
            selector.register(fd, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(0.0 if exited else 0.5)
            for key, _ in ready:
                if not _read(key.fd, chunks[key.fd], keep_last):
                    selector.unregister(key.fd)
            if exited and not ready:
                break  # a background child holds the stream open; the command itself has exited
            exited = exited or process.poll() is not None
            now = time.monotonic()
            if now >= deadline:
                raise CommandTimedOut(
                    f"'{name}' timed out after {now - started:.0f} s; "
                    f"last output: {_tail(chunks) or '(none)'}",
                    b"".join(chunks.values()).decode(errors="replace"),
                )
            if now - last >= HEARTBEAT_INTERVAL:
                last = now
                progress(f"still running '{name}' ({now - started:.0f} s)")
    outputs = [bytes(chunks[fd]) for fd in streams]
    return outputs[0], outputs[1] if len(outputs) > 1 else b""


def _read(fd: int, into: bytearray, keep_last: int) -> bool:
    """Read once; return False at the end of the stream (EIO if a terminal was closed)."""
    try:
        data = os.read(fd, 65536)
    except OSError:
        return False
    if keep_last or len(into) < MAX_OUTPUT:
        into += data
    if keep_last:
        del into[:-keep_last]
    return bool(data)


def _tail(chunks: Mapping[int, bytearray]) -> str:
    text = b"".join(bytes(chunk[-400:]) for chunk in chunks.values())
    return text.decode(errors="replace").strip()[-400:]


def _clean(data: bytes, terminal: bool) -> str:
    text = data.decode(errors="replace")
    return ANSI.sub("", text).replace("\r\n", "\n").replace("\r", "\n") if terminal else text


def _failure(name: str, done: Completed) -> str:
    """Return the message of a failed command: name, exit code, both streams indented."""
    lines = [f"'{name}' failed with exit code {done.exit_code}"]
    for label, text in (("stdout", done.out), ("stderr", done.err)):
        body = text.strip() or "(none)"
        lines += [f"  {label}:"] + [f"    {line}" for line in body.splitlines()[-30:]]
    return "\n".join(lines)
