"""Requests of the HTTP client against servers that misbehave."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from bridge.clients import http
from bridge.clients.http import Backoff, CallError, Http

TOKEN = "token x"


@dataclass
class RawServer:
    """A server that sends the same bytes to everybody and then nothing more."""

    base: str
    requests: list[bytes] = field(default_factory=list)

    @property
    def http(self) -> Http:
        """A client of it."""
        return Http("forge", self.base, {"Authorization": TOKEN})


@contextmanager
def serving(response: bytes) -> Iterator[RawServer]:
    """Serve some bytes; every connection stays open until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = RawServer(f"http://127.0.0.1:{listening.getsockname()[1]}")
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                held.append(sock)
                server.requests.append(sock.recv(10_000))
                sock.sendall(response)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for sock in held:
                sock.close()


def head(status: str, *lines: str) -> bytes:
    """Return the head of a response."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def error_of(server: RawServer) -> CallError:
    """Return the error of a request to the server."""
    with pytest.raises(CallError) as caught:
        server.http.call("GET", "/a", timeout=5.0)
    return caught.value


# -- requests


def test_line_breaks_in_url_or_token_add_no_header() -> None:
    with serving(head("204 No Content", "Content-Length: 0")) as server:
        server.http.call("GET", "/a\r\nX-Evil: 1\r\n\r\n")
        assert b"\r\nX-Evil" not in server.requests[0]
        with pytest.raises(CallError):
            Http("forge", server.base, {"Authorization": f"{TOKEN}\r\nX-Evil: 1"}).call("GET", "/a")
    assert len(server.requests) == 1


# -- responses


def test_endless_response_is_dropped_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1000)
    with serving(head("200 OK", "Content-Length: 1000000000") + b"a" * 1001) as server:
        assert "more than 1,000 bytes" in str(error_of(server))
        assert error_of(server).kind == "garbled"


@pytest.mark.parametrize("stream", [False, True])
def test_redirects_are_not_followed(stream: bool) -> None:
    """The token would go wherever the redirect leads."""
    response = head("302 Found", "Location: /elsewhere", "Content-Length: 0", "Connection: close")
    with serving(response) as server:
        with pytest.raises(CallError) as caught:
            list(server.http.stream("/a", silence=5.0)) if stream else server.http.call("GET", "/a")
        assert (caught.value.status, len(server.requests)) == (302, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("start", [b"", head("200 OK", "Content-Length: 9") + b"a\n"])
def test_silent_server_times_out(start: bytes, stream: bool) -> None:
    """Before its response or in the middle of it."""
    with serving(start) as server, pytest.raises(CallError) as caught:
        client = server.http
        list(client.stream("/a", silence=0.2)) if stream else client.call("GET", "/a", timeout=0.2)
    assert caught.value.transient


def test_slow_response_times_out_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte arrives in time, but the whole response would never end."""
    monkeypatch.setattr(http, "BODY_TIMEOUT", -1.0)
    with serving(head("200 OK", "Content-Length: 9") + b"a") as server:
        assert error_of(server).kind == "slow"
        assert "the response takes more than" in str(error_of(server))


@pytest.mark.parametrize("seconds", ["\u00b2", "soon", "-1", "Wed, 21 Oct 1815 07:28:00 GMT"])
def test_invalid_retry_after_is_ignored(seconds: str) -> None:
    """Only a number of seconds or a date in the future counts."""
    response = f"HTTP/1.1 429 Slow\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"
    with serving(response.encode("latin-1")) as server:
        assert (error_of(server).kind, error_of(server).retry_after) == ("limited", 0.0)


def test_invalid_json_is_an_error() -> None:
    headers = ("Content-Type: application/json", "Content-Length: 1", "Connection: close")
    with serving(head("200 OK", *headers) + b"{") as server:
        assert error_of(server).kind == "garbled"


def test_text_of_an_error_response_is_cut() -> None:
    """It is shown in the log and in comments."""
    lines = ("Content-Length: 5000", "Connection: close")
    with serving(head("500 Oh", *lines) + b"a" * 5000) as server:
        assert len(str(error_of(server))) < 400


def test_only_a_line_feed_ends_a_line_of_a_stream() -> None:
    """Any other character that an app prints stays within its line."""
    body = "a\rb\u2028c\x0bd\r\nend\n".encode()
    headers = (f"Content-Length: {len(body)}", "Connection: close")
    with serving(head("200 OK", *headers) + body) as server:
        assert list(server.http.stream("/a", silence=5.0)) == ["a\rb\u2028c\x0bd", "end"]


# -- pauses


def test_backoff_grows_to_one_minute_unless_the_server_asks_for_more() -> None:
    backoff = Backoff()
    pauses = [backoff.failed() for _ in range(40)]
    assert 0.5 <= pauses[0] <= 1.0 and min(pauses[8:]) >= 30.0 and max(pauses) <= 60.0
    assert backoff.failed(CallError("limited", "", retry_after=90.0)) == 90.0
