"""The web server beneath the bridge's pages, with bounds against clients that mean no good.

waitress reads a request whole before the pages see it, and gives up a client that is silent; one that
sends a byte now and then would stay. So a request has a time to be complete in, whatever it sends.
"""

from __future__ import annotations

import time
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from bridge.web import LONGEST_BODY

REQUEST_TIME = 15.0  # seconds for a whole request to arrive
SILENCE = 10  # seconds without a byte
CONNECTIONS = 64  # at once; each may hold one body
HEADERS = 16_384  # bytes
THREADS = 8


class Channel(HTTPChannel):
    """One connection, whose requests must arrive in time."""

    request_time = REQUEST_TIME
    _begun = 0.0

    def received(self, data: bytes) -> bool:
        """Take what came; give the client up when its request has been arriving for too long."""
        now = time.monotonic()
        if self.request is None:
            self._begun = now
        elif now - self._begun > self.request_time:
            self.will_close = True
            return False
        return bool(super().received(data))


def make(app: Flask, host: str, port: int) -> Any:
    """Return a server that listens; `run` serves until `close` is called from elsewhere."""
    BaseWSGIServer.channel_class = Channel  # waitress makes one server for each address of a host
    return create_server(
        app,
        host=host,
        port=port,
        threads=THREADS,
        connection_limit=CONNECTIONS,
        channel_timeout=SILENCE,
        cleanup_interval=2,
        max_request_header_size=HEADERS,
        max_request_body_size=LONGEST_BODY + 1,
        ident="cc-ci",
    )
