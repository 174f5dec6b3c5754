"""Check that a port of a service accepts connections: an app's web page may be up before its other ports.

Connects to the container's address on `docker_gwbridge`, which the host reaches without the
proxy (measured: overlay addresses are not reachable from the host). One connection proves little, because
a task that is being stopped still accepts, so three in a row are required (incident R3).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from harness.errors import InfraError
from harness.host import wait
from harness.swarm import containers, engine

BRIDGE = "docker_gwbridge"
MIN_IN_A_ROW = 3
CONNECT_TIMEOUT = 3.0  # seconds for one connection

Connect = Callable[[tuple[str, int]], bool]


def accepts(address: tuple[str, int]) -> bool:
    """Return True if something listens on this address."""
    try:
        with socket.create_connection(address, timeout=CONNECT_TIMEOUT):
            return True
    except OSError:
        return False


def until_ready(
    find: Callable[[], tuple[str, int]],
    *,
    what: str,
    timeout: float,
    progress: wait.ProgressLog = lambda line: None,
    connect: Connect = accepts,
    clock: wait.Clock = wait.REAL,
) -> None:
    """Wait until three connections in a row are accepted.

    Args:
        find: returns the address; called for each connection, since the container may be replaced.
        what: name of the port for messages.
        timeout: seconds to wait.
        progress: receives each change of state.
        connect: tries one connection.
        clock: the time to use.

    Raises:
        TimedOut: there were never three in a row.
    """
    good = 0

    def look() -> wait.Look[bool]:
        nonlocal good
        good = good + 1 if connect(find()) else 0
        seen = "accepts connections" if good else "refuses connections"
        return wait.Look(f"{what} {seen}", True if good >= MIN_IN_A_ROW else None)

    wait.until(
        look, what=f"{what} to listen", timeout=timeout, every=0.3, progress=progress, clock=clock
    )


def address(stack: str, target: str, api: Any = None) -> tuple[str, int]:
    """Return the address at which the host reaches a `service:port` of a stack.

    Raises:
        InfraError: the container has no such address, or the stack has no such service.
    """
    service, _, port = target.partition(":")
    container = containers.find(stack, service)
    found = (api or engine.client()).inspect_network(BRIDGE)["Containers"].get(container)
    if not found:
        raise InfraError(f"the container of '{stack}_{service}' has no address on {BRIDGE}")
    return str(found["IPv4Address"]).partition("/")[0], int(port)
