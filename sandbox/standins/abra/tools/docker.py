"""Docker, read over its API's socket (2 ms a call) and driven through its CLI.

A process start costs 20 ms with the CLI and 150 ms with the SDK, so what is only looked up is asked
for over the socket.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import proc

NAMESPACE = "com.docker.stack.namespace"
TIMEOUT = 30.0  # seconds for one answer of the engine


class _Connection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(self._path)


def _socket_path() -> str:
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        raise Fatal(f"DOCKER_HOST '{host}' is not modelled; only a local socket is")
    return host.removeprefix("unix://")


def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send one request to the engine; return status and the decoded answer.

    Raises:
        Fatal: the engine does not answer.
    """
    connection = _Connection(_socket_path())
    data = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Fatal(f"Cannot connect to the Docker daemon: {error}") from error
    finally:
        connection.close()
    return answer.status, json.loads(text) if text.strip() else None


def _checked(method: str, path: str, body: Any = None) -> Any:
    status, answer = call(method, path, body)
    if status >= 400:
        said = answer.get("message") if isinstance(answer, dict) else answer
        raise Fatal(f"Error response from daemon: {said}")
    return answer


def _list(kind: str, filters: Mapping[str, Sequence[str]], query: str = "") -> Any:
    encoded = quote(json.dumps({key: list(values) for key, values in filters.items()}))
    return _checked("GET", f"/{kind}?filters={encoded}{query}")


def _of_stack(stack: str) -> dict[str, list[str]]:
    return {"label": [f"{NAMESPACE}={stack}"]}


def services(stack: str | None = None, *, label: str | None = None) -> list[dict[str, Any]]:
    """Return services: of a stack, with a label, or all."""
    filters = _of_stack(stack) if stack else {"label": [label]} if label else {}
    return list(_list("services", filters) or [])


def tasks(stack: str) -> list[dict[str, Any]]:
    """Return the tasks of a stack that Swarm still knows, ended ones too."""
    return list(_list("tasks", _of_stack(stack)) or [])


def containers(stack: str, *, stopped: bool = False) -> list[dict[str, Any]]:
    """Return the containers of a stack: the running ones, with `stopped` all."""
    return list(_list("containers/json", _of_stack(stack), f"&all={str(stopped).lower()}") or [])


def running_container(service_id: str) -> str | None:
    """Return the container of the newest running task of a service, None without one."""
    found = _list("tasks", {"service": [service_id], "desired-state": ["running"]}) or []
    alive = [task for task in found if task["Status"]["State"] == "running"]
    alive.sort(key=lambda task: str(task["CreatedAt"]), reverse=True)
    ids = [task["Status"].get("ContainerStatus", {}).get("ContainerID") for task in alive]
    return next((str(found_id) for found_id in ids if found_id), None)


def volumes(stack: str) -> list[str]:
    """Return the names of a stack's volumes."""
    answer = _list("volumes", _of_stack(stack)) or {}
    return sorted(str(volume["Name"]) for volume in answer.get("Volumes") or [])


def remove_volume(name: str) -> bool:
    """Remove a volume; return False while something still uses it.

    Raises:
        Fatal: the engine refuses for another reason.
    """
    status, answer = call("DELETE", f"/volumes/{quote(name)}")
    if status in (204, 404):
        return True
    if status == 409:
        return False
    raise Fatal(f"cannot remove volume {name}: {(answer or {}).get('message')}")


def secrets() -> dict[str, str]:
    """Return the ids of all secrets of the Swarm by name."""
    found = _checked("GET", "/secrets") or []
    return {str(secret["Spec"]["Name"]): str(secret["ID"]) for secret in found}


def create_secret(name: str, value: bytes) -> bool:
    """Create a secret without any label; return False when there is one of that name.

    Raises:
        Fatal: the engine refuses for another reason.
    """
    data = base64.b64encode(value).decode()
    status, answer = call("POST", "/secrets/create", {"Name": name, "Data": data})
    if status == 409:
        return False
    if status >= 400:
        raise Fatal(f"cannot create secret {name}: {(answer or {}).get('message')}")
    return True


def remove_secret(secret_id: str) -> None:
    """Remove a secret by id.

    Raises:
        Fatal: it is in use.
    """
    _checked("DELETE", f"/secrets/{secret_id}")


def stack_deploy(
    stack: str, files: Sequence[str], *, env: Mapping[str, str], fds: Sequence[int]
) -> None:
    """Apply compose files; nothing is pruned and no image registry is asked.

    Raises:
        Fatal: Docker refuses them.
    """
    words = ["docker", "stack", "deploy", "--resolve-image", "never"]
    for file in files:
        words += ["-c", file]
    done = proc.run([*words, stack], env=env, fds=fds)
    if done.status != 0:
        raise Fatal(done.said)


def stack_remove(stack: str) -> None:
    """Remove a stack's services, networks and configs.

    Raises:
        Fatal: Docker refuses.
    """
    done = proc.run(["docker", "stack", "rm", stack])
    if done.status != 0:
        raise Fatal(done.said)


def stack_config(files: Sequence[str], *, env: Mapping[str, str]) -> str | None:
    """Return Docker's complaint about compose files, None when it takes them."""
    words = ["docker", "stack", "config"]
    for file in files:
        words += ["-c", file]
    done = proc.run(words, env=env)
    if done.status == 0 or "unknown shorthand flag" in done.err:  # CLIs before 25 lack the command
        return None
    return done.said


def exec_words(
    container: str,
    argv: Sequence[str],
    *,
    terminal: bool,
    user: str = "",
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the docker command that runs something in a container."""
    words = ["docker", "exec", "-i", *(["-t"] if terminal else []), *(["-u", user] if user else [])]
    for key, value in (env or {}).items():
        words += ["-e", f"{key}={value}"]
    return [*words, container, *argv]
