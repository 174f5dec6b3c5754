"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket

# Below the range that the kernel uses for outgoing connections (ip_local_port_range): a port of that range
# may be taken between the choice here and its use.
PORTS = range(20_000, 32_000)


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
