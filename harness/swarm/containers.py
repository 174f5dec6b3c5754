"""Commands, files and logs in the running containers of an app.

Always uses a running task of the current spec, never one that is being replaced. A command that cannot be
run is an error, never an empty output.
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

FIND_TIMEOUT = 60.0  # seconds for a service to get a running container
LOG_LINES = 40
MAX_LOG_BYTES = 4 * 1024 * 1024  # of one service's log; its lines may have any length
LOG_SLACK = 1024 * 1024  # bytes above the maximum before the oldest are dropped in one go
LOG_TIMEOUT = 20.0  # seconds for reading it; some grow faster than they are read
MAX_OUTPUT = 16 * 1024 * 1024  # bytes of one command's output
MAX_FILE = 256 * 1024 * 1024  # bytes of one file


@dataclass(frozen=True, slots=True)
class Output:
    """The exit code and the output of a command in a container."""

    exit_code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class OomKill:
    """A service of which the kernel killed a process because memory ran out (OOM kill).

    Attributes:
        service: short name of the service.
        limit: the container's memory limit in bytes, 0 for none.
    """

    service: str
    limit: int


def find(stack: str, service: str, *, timeout: float = FIND_TIMEOUT) -> str:
    """Return the id of a service's running container; wait for one if necessary.

    Args:
        stack: name of the stack.
        service: short name of the service.
        timeout: seconds to wait.

    Raises:
        TimedOut: no container ran in that time.
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
    """Run a command in a service's container (like `abra app run`, without a terminal).

    Args:
        stack: name of the stack.
        service: short name of the service.
        argv: the command with its arguments.
        user: the user that it runs as; the image's if empty.
        env: additional environment variables.

    Raises:
        RecipeFailure: the container has gone or cannot run this command, or its output is larger
            than 16 MiB.
    """
    api = engine.client()
    container = find(stack, service)
    name = " ".join(argv[:3])
    try:
        made = api.exec_create(container, list(argv), user=user, environment=env)
        with _closing(api.exec_start(made["Id"], demux=True, stream=True)) as pieces:
            out, err = _collect(pieces, name, service)
        exit_code = api.exec_inspect(made["Id"])["ExitCode"]
    except APIError as error:
        raise RecipeFailure(
            f"running '{name}' in service '{service}' failed: {error.explanation}"
        ) from error
    return Output(exit_code if exit_code is not None else -1, _text(out), _text(err))


@contextlib.contextmanager
def _closing(stream: Any) -> Iterator[Any]:
    """Close a stream of the SDK together with its response.

    `close` of the stream alone leaves the socket to the garbage collector, which then warns in whichever
    test is running.
    """
    try:
        yield stream
    finally:
        stream.close()
        stream._response.close()  # noqa: SLF001 - the SDK has no public name for it


def _collect(
    pieces: Iterable[tuple[bytes | None, bytes | None]], name: str, service: str
) -> tuple[bytes, bytes]:
    """Return a command's whole standard output and standard error."""
    out, err = bytearray(), bytearray()
    for more_out, more_err in pieces:
        out += more_out or b""
        err += more_err or b""
        if len(out) + len(err) > MAX_OUTPUT:
            raise RecipeFailure(
                f"the output of '{name}' in service '{service}' is larger than {MAX_OUTPUT} bytes; "
                "let the command print less"
            )
    return bytes(out), bytes(err)


def write(stack: str, service: str, path: str, data: bytes, *, mode: int = 0o644) -> None:
    """Write a file into a service's container; its folder must exist.

    Args:
        stack: name of the stack.
        service: short name of the service.
        path: absolute path in the container.
        data: the content.
        mode: permission bits.

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
    """Return the content of a file in a service's container, or None if it does not exist.

    Raises:
        RecipeFailure: it cannot be read, or is larger than 256 MiB.
    """
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
                "examine it with a command in the container"
            )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                return file.read()
    return None


def logs(stack: str, service: str, *, lines: int = LOG_LINES) -> list[str]:
    """Return a service's last log lines, from its newest container that has any.

    Containers are read instead of the service, whose log also follows tasks that Swarm has already forgotten.
    At most 4 MiB are returned. Only whole lines are dropped: half a line may contain half a secret, which
    no redactor would recognise.

    Args:
        stack: name of the stack.
        service: short name of the service.
        lines: how many lines at most.
    """
    api = engine.client()
    label = f"com.docker.swarm.service.name={stack}_{service}"
    found = api.containers(all=True, filters={"label": [label]})
    for container in sorted(found, key=lambda c: -int(c.get("Created", 0))):
        try:
            with _closing(
                api.logs(container["Id"], tail=lines, stream=True, follow=False)
            ) as pieces:
                text = _text(_tail(pieces)).strip()
        except APIError:
            continue  # it was removed meanwhile
        if text:
            return text.splitlines()[-lines:]
    return []


def _tail(pieces: Iterable[bytes]) -> bytes:
    """Return the end of a log, whole lines only, after a line that says how much was dropped."""
    kept, dropped = bytearray(), 0
    deadline = time.monotonic() + LOG_TIMEOUT
    for piece in pieces:
        kept += piece
        if len(kept) > MAX_LOG_BYTES + LOG_SLACK:
            dropped += len(kept) - MAX_LOG_BYTES
            del kept[:-MAX_LOG_BYTES]
        if time.monotonic() > deadline:
            break
    if not dropped:
        return bytes(kept)
    whole = kept.find(b"\n") + 1 or len(kept)
    note = f"(the first {dropped + whole} bytes are left out)\n"
    return note.encode() + bytes(kept[whole:])


def oom_kill(stack: str, *, host_killed: bool) -> OomKill | None:
    """Return a service of the stack that was OOM-killed, or None.

    Docker marks only containers that reached their own limit. One that was killed because the host had no
    memory left just has exit code 137, which counts only if `host_killed`.

    Args:
        stack: name of the stack.
        host_killed: the kernel has killed processes on this host since the run began.
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
