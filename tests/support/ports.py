"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket

# Below what the kernel gives to outgoing connections (ip_local_port_range): a port of those may be taken
# between its choice and its use.
CHOICE = range(20_000, 32_000)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    while True:
        port = random.choice(CHOICE)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
