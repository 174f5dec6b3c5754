"""Docker: read over its API's socket, driven through its CLI.

A call over the socket takes 2 ms, starting the CLI 20 ms and importing the SDK 150 ms. So everything that is
only read is read over the socket.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import proc

NAMESPACE = "com.docker.stack.namespace"
API_TIMEOUT = 30.0  # seconds for one response of the engine
SPECIAL_VARIABLES = re.compile(r"(?:LD|DOCKER|GO)_?[A-Z_]*|PATH|HOME|TMPDIR")
PASSED_VARIABLES = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "TMPDIR")


class _Connection(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=API_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of to a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(API_TIMEOUT)
        self.sock.connect(self._path)


def _socket_path() -> str:
    host = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not host.startswith("unix://"):
        raise Fatal(f"the stand-in only supports a local socket, not DOCKER_HOST '{host}'")
    return host.removeprefix("unix://")


def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Send one request to the engine and return the HTTP status and the parsed body of the response.

    Raises:
        Fatal: the engine does not answer.
    """
    connection = _Connection(_socket_path())
    data = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Fatal(f"Cannot connect to the Docker daemon: {error}") from error
    finally:
        connection.close()
    return response.status, json.loads(text) if text.strip() else None


def _checked(method: str, path: str, body: Any = None) -> Any:
    status, response = call(method, path, body)
    if status >= 400:
        message = response.get("message") if isinstance(response, dict) else response
        raise Fatal(f"Error response from daemon: {message}")
    return response


def _list(kind: str, filters: Mapping[str, Sequence[str]], query: str = "") -> Any:
    encoded = quote(json.dumps({key: list(values) for key, values in filters.items()}))
    return _checked("GET", f"/{kind}?filters={encoded}{query}")


def _of_stack(stack: str) -> dict[str, list[str]]:
    return {"label": [f"{NAMESPACE}={stack}"]}


def services(stack: str | None = None, *, label: str | None = None) -> list[dict[str, Any]]:
    """Return the services of a stack, those with a label, or all."""
    filters = _of_stack(stack) if stack else {"label": [label]} if label else {}
    return list(_list("services", filters) or [])


def tasks(stack: str) -> list[dict[str, Any]]:
    """Return the tasks of a stack that Swarm still knows, stopped ones included."""
    return list(_list("tasks", _of_stack(stack)) or [])


def containers(stack: str) -> list[dict[str, Any]]:
    """Return the running containers of a stack."""
    return list(_list("containers/json", _of_stack(stack), "&all=false") or [])


def running_container(service_id: str) -> str | None:
    """Return the container of a service's newest running task, None without one."""
    found = _list("tasks", {"service": [service_id], "desired-state": ["running"]}) or []
    running = [task for task in found if task["Status"]["State"] == "running"]
    running.sort(key=lambda task: str(task["CreatedAt"]), reverse=True)
    ids = [task["Status"].get("ContainerStatus", {}).get("ContainerID") for task in running]
    return next((str(found_id) for found_id in ids if found_id), None)


def require_container(service: Mapping[str, Any]) -> str:
    """Return the running container of a service.

    Raises:
        Fatal: it has no running task.
    """
    found = running_container(str(service["ID"]))
    if found is None:
        raise Fatal(f"no running container of {service['Spec']['Name']}")
    return found


def volumes(stack: str) -> list[str]:
    """Return the names of a stack's volumes."""
    response = _list("volumes", _of_stack(stack)) or {}
    return sorted(str(volume["Name"]) for volume in response.get("Volumes") or [])


def remove_volume(name: str) -> bool:
    """Remove a volume; return False if it is still in use.

    Raises:
        Fatal: the engine refuses for another reason.
    """
    status, response = call("DELETE", f"/volumes/{quote(name)}")
    if status in (204, 404):
        return True
    if status == 409:
        return False
    raise Fatal(f"cannot remove volume {name}: {(response or {}).get('message')}")


def secrets() -> dict[str, str]:
    """Return the ids of all secrets in the Swarm by name."""
    found = _checked("GET", "/secrets") or []
    return {str(secret["Spec"]["Name"]): str(secret["ID"]) for secret in found}


def create_secret(name: str, value: bytes) -> bool:
    """Create a secret without labels; return False if the name is taken.

    Raises:
        Fatal: the engine refuses for another reason.
    """
    data = base64.b64encode(value).decode()
    status, response = call("POST", "/secrets/create", {"Name": name, "Data": data})
    if status == 409:
        return False
    if status >= 400:
        raise Fatal(f"cannot create secret {name}: {(response or {}).get('message')}")
    return True


def remove_secret(secret_id: str) -> None:
    """Remove a secret by id.

    Raises:
        Fatal: it is in use.
    """
    _checked("DELETE", f"/secrets/{secret_id}")


def compose_environment(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for `docker stack deploy`: the app's variables, and what the CLI needs.

    abra replaces the variables itself; here the docker CLI does, which reads them from its environment.

    Args:
        values: variables of the compose files.
        environ: environment of this process.

    Raises:
        Fatal: a variable would change the docker command itself.
    """
    for key in values:
        if SPECIAL_VARIABLES.fullmatch(key):
            raise Fatal(f"variable {key} would change the docker command; the stand-in refuses it")
    return {**values, **{key: environ[key] for key in PASSED_VARIABLES if key in environ}}


def stack_deploy(
    stack: str, files: Sequence[str], *, env: Mapping[str, str], fds: Sequence[int]
) -> None:
    """Deploy compose files; nothing is pruned and no image registry is asked.

    Args:
        stack: name of the stack.
        files: paths of the compose files.
        env: complete environment of the command.
        fds: file descriptors that the command inherits.

    Raises:
        Fatal: Docker refuses them.
    """
    words = ["docker", "stack", "deploy", "--resolve-image", "never"]
    for file in files:
        words += ["-c", file]
    done = proc.run([*words, stack], env=env, fds=fds)
    if done.exit_code != 0:
        raise Fatal(done.error_text)


def stack_remove(stack: str) -> None:
    """Remove a stack's services, networks and configs.

    Raises:
        Fatal: Docker refuses.
    """
    done = proc.run(["docker", "stack", "rm", stack])
    if done.exit_code != 0:
        raise Fatal(done.error_text)


def stack_config(files: Sequence[str], *, env: Mapping[str, str]) -> str | None:
    """Return Docker's error about compose files, None if it accepts them."""
    words = ["docker", "stack", "config"]
    for file in files:
        words += ["-c", file]
    done = proc.run(words, env=env)
    if (
        done.exit_code == 0 or "unknown shorthand flag" in done.err
    ):  # the CLI has this command since 25
        return None
    return done.error_text


def exec_argv(
    container: str,
    argv: Sequence[str],
    *,
    terminal: bool,
    user: str = "",
    env: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the `docker exec` command that runs something in a container."""
    words = ["docker", "exec", "-i", *(["-t"] if terminal else []), *(["-u", user] if user else [])]
    for key, value in (env or {}).items():
        words += ["-e", f"{key}={value}"]
    return [*words, container, *argv]
