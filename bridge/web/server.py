"""The web server, with limits against malicious clients.

waitress reads a whole request before the application sees it. It drops a client that sends nothing, but not
one that sends a byte now and then. So each request has a timeout as a whole.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server
from waitress.trigger import trigger

from bridge.web.endpoints import MAX_BODY

REQUEST_TIMEOUT = 15.0  # seconds for a whole request to arrive
IDLE_TIMEOUT = 10  # seconds without a byte
MAX_CONNECTIONS = 64  # at the same time; each may hold one body
MAX_HEADERS = 16_384  # bytes
THREADS = 8


class Channel(HTTPChannel):
    """One connection, whose requests must arrive in time."""

    request_timeout = REQUEST_TIMEOUT
    _start = 0.0

    def received(self, data: bytes) -> bool:
        """Process received data; close the connection if the request takes too long to arrive."""
        now = time.monotonic()
        if self.request is None:
            self._start = now
        elif now - self._start > self.request_timeout:
            self.will_close = True
            return False
        return bool(super().received(data))


class CannotListen(Exception):
    """The address is in use, or does not belong to this machine."""


class Server:
    """Serves the application; listens from its creation.

    Args:
        app: the application.
        host: address to listen on.
        port: port to listen on, 0 for any free one.

    Raises:
        CannotListen: with the address and the reason.
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
                connection_limit=MAX_CONNECTIONS,
                channel_timeout=IDLE_TIMEOUT,
                cleanup_interval=2,
                max_request_header_size=MAX_HEADERS,
                max_request_body_size=MAX_BODY + 1,
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
        """Stop `run`, which closes the sockets itself: closing them from another thread is an error."""
        triggers = [found for found in self._sockets.values() if isinstance(found, trigger)]
        for found in triggers[:1]:
            with suppress(OSError):  # a busy loop closes them before the trigger is written to
                found.pull_trigger(partial(wasyncore.close_all, self._sockets))
