"""The web server beneath the bridge's pages, with bounds against clients that mean no good.

waitress reads a request whole before the pages see it, and gives up a client that is silent; one that
sends a byte now and then would stay. So a request has a time to be complete in, whatever it sends.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.trigger import trigger

from bridge.web.endpoints import LONGEST_BODY

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


class CannotListen(Exception):
    """The address is taken, or is none of this machine's."""


class Server:
    """Listens from its making on. app: the pages; host, port: where, 0 for any free port.

    Raises:
        CannotListen: names the address and why.
    """

    def __init__(self, app: Flask, host: str, port: int) -> None:
        BaseWSGIServer.channel_class = Channel  # waitress makes a server for each address
        self._sockets: dict[int, Any] = {}
        try:
            self._inner: Any = create_server(
                app,
                map=self._sockets,
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
        except OSError as error:
            wasyncore.close_all(self._sockets)
            raise CannotListen(f"cannot listen on '{host}:{port}': {error.strerror}") from error

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._inner.effective_port)

    def run(self) -> None:
        """Serve until `close` is called from another thread."""
        self._inner.run()
        self._inner.task_dispatcher.shutdown()

    def close(self) -> None:
        """End `run`, which closes the sockets itself: one that is closed while it waits on it is an error."""
        triggers = [found for found in self._sockets.values() if isinstance(found, trigger)]
        for found in triggers[:1]:
            found.pull_trigger(partial(wasyncore.close_all, self._sockets))
