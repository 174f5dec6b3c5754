"""Inside the running containers of an app: commands, files, logs.

Goes to the task of the current spec that runs now, never to one that is being replaced, and never
takes an empty answer for a value: a command that fails raises with its output.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from docker.errors import APIError, NotFound

from harness.errors import RecipeFailure
from harness.host import wait
from harness.swarm import engine

FIND_TIMEOUT = 60.0  # seconds a service may need to have a running container
LOG_LINES = 40
MAX_LOG_BYTES = 4 * 1024 * 1024  # of one service's log; its lines may be as long as it likes
LOG_SLACK = 1024 * 1024  # bytes above the maximum before the oldest are dropped in one go
LOG_TIMEOUT = 20.0  # for reading it; one that grows faster than it is read ends too
MAX_OUTPUT = 16 * 1024 * 1024  # bytes of one command's output
MAX_FILE = 256 * 1024 * 1024  # bytes of one file


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in a container said: its exit status and both streams as text."""

    exit_code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class OomKill:
    """A service that the kernel ended for want of memory; limit: its own, in bytes, 0 for none."""

    service: str
    limit: int


def find(stack: str, service: str, *, timeout: float = FIND_TIMEOUT) -> str:
    """Return the id of the service's running container, waiting up to `timeout` seconds for one.

    Raises:
        TimedOut: none ran in that time.
        InfraError: the stack has no such service.
    """

    def look() -> wait.Look[str]:
        tasks = engine.view(stack).service(service).tasks
        for task in tasks:
            if task.running and task.current and task.container:
                return wait.Look("running", task.container)
        return wait.Look(tasks[0].state if tasks else "no task")

    return wait.until(look, what=f"a running container of '{stack}_{service}'", timeout=timeout)


def execute(
    stack: str,
    service: str,
    argv: Sequence[str],
    *,
    user: str = "",
    env: dict[str, str] | None = None,
) -> Output:
    """Run a command in the service's container (as `abra app run` does, without its terminal).

    Raises:
        RecipeFailure: the container went away, cannot run this command at all, or the command says
            more than 16 MiB.
    """
    api = engine.client()
    container = find(stack, service)
    name = " ".join(argv[:3])
    try:
        made = api.exec_create(container, list(argv), user=user, environment=env)
        with _closing(api.exec_start(made["Id"], demux=True, stream=True)) as pieces:
            out, err = _both(pieces, name, service)
        exit_code = api.exec_inspect(made["Id"])["ExitCode"]
    except APIError as error:
        raise RecipeFailure(
            f"running '{name}' in service '{service}' failed: {error.explanation}"
        ) from error
    return Output(exit_code if exit_code is not None else -1, _text(out), _text(err))


@contextlib.contextmanager
def _closing(stream: Any) -> Iterator[Any]:
    """Close a stream of the SDK with its answer: alone, it leaves the socket to the collector.

    Which warns, in whatever test happens to run then.
    """
    try:
        yield stream
    finally:
        stream.close()
        stream._response.close()  # noqa: SLF001 - the SDK keeps it to itself


def _both(
    pieces: Iterable[tuple[bytes | None, bytes | None]], name: str, service: str
) -> tuple[bytes, bytes]:
    """Return a command's whole standard output and error."""
    out, err = bytearray(), bytearray()
    for more_out, more_err in pieces:
        out += more_out or b""
        err += more_err or b""
        if len(out) + len(err) > MAX_OUTPUT:
            raise RecipeFailure(
                f"'{name}' in service '{service}' said more than {MAX_OUTPUT} bytes; "
                "let the command choose what matters"
            )
    return bytes(out), bytes(err)


def write(stack: str, service: str, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Put one file into the service's container; missing folders are made by the container's tar.

    Raises:
        RecipeFailure: the folder does not exist or cannot be written.
    """
    target = PurePosixPath(path)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(target.name)
        entry.size, entry.mode = len(data), mode
        archive.addfile(entry, io.BytesIO(data))
    try:
        engine.client().put_archive(find(stack, service), str(target.parent), buffer.getvalue())
    except APIError as error:
        raise RecipeFailure(
            f"writing '{path}' into service '{service}' failed: {error.explanation}"
        ) from error


def read(stack: str, service: str, path: str) -> bytes | None:
    """Return the content of one file in the service's container, or None where there is no such file."""
    try:
        stream, _ = engine.client().get_archive(find(stack, service), path)
    except NotFound:
        return None
    except APIError as error:
        raise RecipeFailure(
            f"reading '{path}' from service '{service}' failed: {error.explanation}"
        ) from error
    data = bytearray()
    for piece in stream:
        data += piece
        if len(data) > MAX_FILE:
            raise RecipeFailure(
                f"'{path}' in service '{service}' is larger than {MAX_FILE} bytes; "
                "let a command in the container look at it"
            )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                return file.read()
    return None


def logs(stack: str, service: str, *, lines: int = LOG_LINES) -> list[str]:
    """Return the service's last log lines, from its newest container that has any.

    Containers are asked, not the service: a service's log follows tasks that Swarm already forgot.
    At most 4 MiB: the oldest lines are left out whole, since half a line may hold half a secret,
    which nobody recognises.
    """
    api = engine.client()
    label = f"com.docker.swarm.service.name={stack}_{service}"
    found = api.containers(all=True, filters={"label": [label]})
    for container in sorted(found, key=lambda c: -int(c.get("Created", 0))):
        try:
            with _closing(
                api.logs(container["Id"], tail=lines, stream=True, follow=False)
            ) as pieces:
                text = _text(_end(pieces)).strip()
        except APIError:
            continue  # removed meanwhile
        if text:
            return text.splitlines()[-lines:]
    return []


def _end(pieces: Iterable[bytes]) -> bytes:
    """Return the end of a log, from a line's beginning; says so where the beginning is left out."""
    kept, dropped = bytearray(), 0
    until = time.monotonic() + LOG_TIMEOUT
    for piece in pieces:
        kept += piece
        if len(kept) > MAX_LOG_BYTES + LOG_SLACK:
            dropped += len(kept) - MAX_LOG_BYTES
            del kept[:-MAX_LOG_BYTES]
        if time.monotonic() > until:
            break
    if not dropped:
        return bytes(kept)
    whole = kept.find(b"\n") + 1 or len(kept)
    told = f"(what came before is left out: {dropped + whole} bytes)\n"
    return told.encode() + bytes(kept[whole:])


def oom_kill(stack: str, *, host_killed: bool) -> OomKill | None:
    """Return a service of the stack that was ended for want of memory, None where none was.

    host_killed: the kernel has ended programs of this host since the run began. Docker marks only
    what died at a limit; what died because all memory was gone merely shows status 137.
    """
    api = engine.client()
    for found in api.containers(all=True, filters={"label": [f"{engine.NAMESPACE}={stack}"]}):
        try:
            seen = api.inspect_container(found["Id"])
        except NotFound:
            continue
        state, limit = seen["State"], int(seen["HostConfig"].get("Memory") or 0)
        if state.get("OOMKilled") or (host_killed and state.get("ExitCode") == 137):
            name = seen["Config"]["Labels"].get("com.docker.swarm.service.name", "")
            return OomKill(name.removeprefix(f"{stack}_"), limit)
    return None


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
