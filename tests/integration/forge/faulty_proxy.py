"""A proxy between the bridge and a server: can fail, hang, and call a function around each request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import requests

Mode = Literal["pass", "fail", "hang", "limit", "missing"]
REFUSALS = {"fail": 500, "limit": 429, "missing": 404}
DROPPED = frozenset({"connection", "transfer-encoding", "content-length", "content-encoding"})


class FaultyProxy:
    """Forwards every request.

    Attributes:
        mode: pass requests on, refuse them with an HTTP status, or let them hang.
        before, after: called before and after each forwarded request, with method, path and body.
        endless: streams continue with pings after their end until the reader closes them.
        calls: time, method and path of each request.
        refused: number of refused requests.
        streams: number of open streams.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.mode: Mode = "pass"
        self.before: Callable[[str, str, bytes], None] = lambda method, path, body: None
        self.after: Callable[[str, str, bytes], None] = lambda method, path, body: None
        self.calls: list[tuple[float, str, str]] = []
        self.refused = 0
        self.endless = False
        self.streams = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                proxy.serve(self)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve  # noqa: N815 - its base's names

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """The URL of the proxy."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop it."""
        self.mode = "fail"
        self._server.shutdown()
        self._server.server_close()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        """Handle one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        self.calls.append((time.monotonic(), handler.command, handler.path))
        while self.mode == "hang":
            time.sleep(0.02)
        if self.mode in REFUSALS:
            self.refused += 1
            self._refuse(handler)
            return
        self.before(handler.command, handler.path, body)
        try:
            self._forward(handler, body)
        except (OSError, requests.RequestException):
            handler.close_connection = True

    def _refuse(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(REFUSALS.get(self.mode, 500))
        handler.send_header("Retry-After", "2")
        handler.send_header("Content-Length", "14")
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        handler.wfile.write(b'{"message":""}')

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        headers = {
            k: v for k, v in handler.headers.items() if k.lower() not in ("host", "connection")
        }
        with requests.request(
            handler.command,
            self.target + handler.path,
            data=body,
            headers=headers,
            allow_redirects=False,
            stream=True,
            timeout=120,
        ) as response:
            streams = "event-stream" in response.headers.get("Content-Type", "")
            content = b"" if streams else response.content
            self.after(handler.command, handler.path, body)
            handler.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in DROPPED:
                    handler.send_header(name, value)
            if streams:
                handler.send_header("Connection", "close")
                handler.end_headers()
                self._stream(handler, response)
                return
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

    def _stream(self, handler: BaseHTTPRequestHandler, response: requests.Response) -> None:
        handler.close_connection = True
        self.streams += 1
        try:
            while chunk := response.raw.read1(65_536, decode_content=True):
                if self.endless:
                    chunk = chunk.replace(b"event: error\ndata: eof\n\n", b"")
                handler.wfile.write(chunk)
                handler.wfile.flush()
            while self.endless and self.mode == "pass":
                handler.wfile.write(b": ping\n\n")
                handler.wfile.flush()
                time.sleep(0.05)
        finally:
            self.streams -= 1
