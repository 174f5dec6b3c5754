"""Answers are read within limits of size and time."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from harness.swarm import route

Send = Callable[[BaseHTTPRequestHandler, threading.Event], None]


def headers(handler: BaseHTTPRequestHandler, **named: str) -> None:
    """Answer 200 with these headers."""
    handler.send_response(200)
    for name, value in named.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def chunk(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    """Send a piece of a chunked answer."""
    handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def drips(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send a byte every 50 ms of a body that is never finished."""
    headers(handler, Content_Length="1000000")
    while not over.wait(0.05):
        handler.wfile.write(b"x")


def drips_in_chunks(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send one chunk after the other, endlessly."""
    headers(handler, Transfer_Encoding="chunked")
    while not over.wait(0.05):
        chunk(handler, b"x")


def floods(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send as fast as it is read, endlessly."""
    headers(handler)
    while not over.is_set():
        handler.wfile.write(b"x" * 65536)


def unpacks(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send a small body that unpacks to 50 MB."""
    body = gzip.compress(b"\0" * 50_000_000)
    headers(handler, Content_Encoding="gzip", Content_Length=str(len(body)))
    handler.wfile.write(body)


def plain(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send a short body."""
    headers(handler, Content_Length="5")
    handler.wfile.write(b"hello")


def packed(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Send the same body with gzip and in chunks."""
    headers(handler, Content_Encoding="gzip", Transfer_Encoding="chunked")
    chunk(handler, gzip.compress(b"hello"))
    chunk(handler, b"")


def breaks_off(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Announce more than is sent."""
    headers(handler, Content_Length="500")
    handler.wfile.write(b"hello")


@pytest.fixture
def served() -> Iterator[Callable[[Send], str]]:
    """Start servers that answer in a given manner; return their address."""
    over = threading.Event()
    servers: list[ThreadingHTTPServer] = []

    def serve(send: Send) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):  # the client has closed the connection
                    send(self, over)

            def log_message(self, *args: object) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def read(address: str, *, seconds: float = 5.0, max_bytes: int = 1_000_000) -> requests.Response:
    """Send a request and read the whole answer within these limits."""
    answer = requests.get(address, stream=True, timeout=5)
    route.read_whole(answer, start=time.monotonic(), seconds=seconds, max_bytes=max_bytes)
    return answer


@pytest.mark.parametrize("send", [drips, drips_in_chunks])
def test_an_answer_that_is_too_slow_is_an_error(served: Callable[[Send], str], send: Send) -> None:
    """Every byte arrives in time, but the whole answer does not."""
    start = time.monotonic()
    with pytest.raises(route.EndlessAnswer, match=r"too long: \d+ bytes arrived in 0\.\d s"):
        read(served(send), seconds=0.3)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize("send", [floods, unpacks])
def test_an_answer_that_is_too_large_is_an_error(served: Callable[[Send], str], send: Send) -> None:
    """The limit applies to the decompressed body."""
    with pytest.raises(route.EndlessAnswer, match="too long"):
        read(served(send))


@pytest.mark.parametrize("send", [plain, packed])
def test_an_ordinary_answer_is_unchanged(served: Callable[[Send], str], send: Send) -> None:
    answer = read(served(send))
    assert (answer.text, len(answer.content)) == ("hello", 5)
    assert list(answer.iter_content(2)) == [b"he", b"ll", b"o"]


def test_an_incomplete_answer_is_a_connection_error(
    served: Callable[[Send], str],
) -> None:
    with pytest.raises(requests.ConnectionError):
        read(served(breaks_off))
