"""Inside the running containers of an app: commands, files, logs.

Goes to the task of the current spec that runs now, never to one that is being replaced, and never
takes an empty answer for a value: a command that fails raises with its output.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from docker.errors import APIError, NotFound

from harness import swarm, wait
from harness.errors import RecipeFailure

FIND_TIMEOUT = 60.0  # seconds a service may need to have a running container
LOG_LINES = 40


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in a container said: its exit status and both streams as text."""

    status: int
    out: str
    err: str


def find(stack: str, service: str, *, timeout: float = FIND_TIMEOUT) -> str:
    """Return the id of the service's running container, waiting up to `timeout` seconds for one.

    Raises:
        TimedOut: none ran in that time.
        InfraError: the stack has no such service.
    """

    def look() -> wait.Look[str]:
        tasks = swarm.view(stack).service(service).tasks
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
        RecipeFailure: the container went away or cannot run this command at all.
    """
    api = swarm.client()
    container = find(stack, service)
    try:
        made = api.exec_create(container, list(argv), user=user, environment=env)
        out, err = api.exec_start(made["Id"], demux=True)
        status = api.exec_inspect(made["Id"])["ExitCode"]
    except APIError as error:
        raise RecipeFailure(
            f"running '{' '.join(argv[:3])}' in service '{service}' failed: {error.explanation}"
        ) from error
    return Output(status if status is not None else -1, _text(out), _text(err))


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
        swarm.client().put_archive(find(stack, service), str(target.parent), buffer.getvalue())
    except APIError as error:
        raise RecipeFailure(
            f"writing '{path}' into service '{service}' failed: {error.explanation}"
        ) from error


def read(stack: str, service: str, path: str) -> bytes | None:
    """Return the content of one file in the service's container, or None where there is no such file."""
    try:
        stream, _ = swarm.client().get_archive(find(stack, service), path)
    except NotFound:
        return None
    except APIError as error:
        raise RecipeFailure(
            f"reading '{path}' from service '{service}' failed: {error.explanation}"
        ) from error
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                return file.read()
    return None


def logs(stack: str, service: str, *, lines: int = LOG_LINES) -> list[str]:
    """Return the service's last log lines, from its newest container that has any.

    Containers are asked, not the service: a service's log follows tasks that Swarm already forgot.
    """
    api = swarm.client()
    label = f"com.docker.swarm.service.name={stack}_{service}"
    found = api.containers(all=True, filters={"label": [label]})
    for container in sorted(found, key=lambda c: -int(c.get("Created", 0))):
        try:
            raw: Any = api.logs(container["Id"], tail=lines, stdout=True, stderr=True)
        except APIError:
            continue  # removed meanwhile
        text = _text(raw).strip()
        if text:
            return text.splitlines()[-lines:]
    return []


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
