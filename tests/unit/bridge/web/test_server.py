"""The web server against malicious clients: slow, oversized and invalid requests, too many connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from bridge.web import server
from bridge.web.endpoints import make_app


@contextmanager
def serving() -> Iterator[int]:
    """Serve the application; hand out the port."""
    app = make_app("secret", lambda event: None, list)
    made = server.Server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made.port
    finally:
        made.close()
        thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve the application with short timeouts; hand out the port."""
    monkeypatch.setattr(server.Channel, "request_timeout", 0.5)
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 1)
    with serving() as found:
        yield found


def closed_within(sock: socket.socket, seconds: float, drip: bytes) -> float:
    """Send byte after byte until the server closes the connection; return the seconds it took."""
    start = time.monotonic()
    sock.settimeout(0.05)
    while time.monotonic() - start < seconds:
        try:
            sock.sendall(drip)
            if sock.recv(1000) == b"":
                return time.monotonic() - start
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - start
    raise AssertionError(f"still connected after {seconds} s")


@pytest.mark.parametrize(
    "start",
    [
        b"POST /hook HTTP/1.1\r\nHost: x\r\nX-A: ",
        b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
        b"POST /hook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    ],
    ids=["headers", "body", "chunk"],
)
def test_slow_request_times_out_as_a_whole(port: int, start: bytes) -> None:
    """A byte now and then is activity, but the request as a whole has a timeout."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(start)
        assert closed_within(sock, 10, b"a") >= 0.4


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: {21_000_000}\r\n\r\n", b" 413 "),
        (f"POST /hook HTTP/1.1\r\nHost: x\r\nX-A: {'a' * 20_000}\r\n\r\n", b" 431 "),
        ("POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b" 400 "),
        ("POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b" 400 "),
        ("POST /hook HTTP/1.1\r\nHost: x\r\nX-A: b\r\n X-C: d\rX-E: f\r\n\r\n", b" 400 "),
        ("\x16\x03\x01\x00\r\n\r\n", b" 400 "),
    ],
)  # fmt: skip
def test_oversized_or_invalid_request_is_refused_before_its_body(
    port: int, head: str, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(10)
        sock.sendall(head.encode("latin-1"))
        assert status in sock.recv(1000).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("size", "chunked", "status"),
    [(1000, False, 401), (1001, False, 413), (900, True, 401), (1001, True, 413)],
)
def test_body_is_limited(
    monkeypatch: pytest.MonkeyPatch, size: int, chunked: bool, status: int
) -> None:
    """With and without a length in the headers; the framing of chunks counts too."""
    monkeypatch.setattr(server, "MAX_BODY", 1000)
    with serving() as port:
        response = requests.post(
            f"http://127.0.0.1:{port}/hook",
            data=iter([b"a" * size]) if chunked else b"a" * size,
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
    assert (response.status_code, response.headers["Server"]) == (status, "cc-ci")


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client over the limit waits until another connection is closed."""
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 6)
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 600)
    with serving() as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(8)]
        with socket.create_connection(("127.0.0.1", port)) as late:
            late.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.recv(1000)
            for sock in held:
                sock.close()
            late.settimeout(30)
            assert late.recv(1000).startswith(b"HTTP/1.0 200 ")


def test_idle_connections_block_others_for_a_short_time_only(port: int) -> None:
    idle = [
        socket.create_connection(("127.0.0.1", port)) for _ in range(server.MAX_CONNECTIONS + 20)
    ]
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        assert requests.get(url, timeout=server.IDLE_TIMEOUT + 10).status_code == 200
    finally:
        for sock in idle:
            sock.close()


def test_port_in_use_gives_a_clear_error(port: int) -> None:
    app = make_app("secret", lambda event: None, list)
    with pytest.raises(server.CannotListen, match=f"'127.0.0.1:{port}': Address already in use"):
        server.Server(app, "127.0.0.1", port)
