"""What the bridge sends and what it takes for an answer: limits, odd servers, and a log without secrets."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bridge import settings
from bridge.clients import http
from bridge.clients.http import Backoff, CallError, Http
from bridge.logs import JsonLines

TOKEN = "token x"


@dataclass
class Odd:
    """A server that answers everything with the same bytes, and then says nothing more."""

    base: str
    got: list[bytes] = field(default_factory=list)

    @property
    def http(self) -> Http:
        """A client of it."""
        return Http("forge", self.base, {"Authorization": TOKEN})


@contextmanager
def answering(answer: bytes) -> Iterator[Odd]:
    """Serve some bytes; every connection stays open until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        odd = Odd(f"http://127.0.0.1:{listening.getsockname()[1]}")
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                held.append(sock)
                odd.got.append(sock.recv(10_000))
                sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield odd
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for sock in held:
                sock.close()


def head(status: str, *lines: str) -> bytes:
    """Return the head of an answer."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def refused(odd: Odd) -> CallError:
    """Return how a call of the server goes wrong."""
    with pytest.raises(CallError) as caught:
        odd.http.call("GET", "/a", timeout=5.0)
    return caught.value


# -- what it sends


def test_a_line_end_in_an_address_or_a_token_makes_no_header() -> None:
    """The first is escaped, the second refused."""
    with answering(head("204 No Content", "Content-Length: 0")) as odd:
        odd.http.call("GET", "/a\r\nX-Evil: 1\r\n\r\n")
        assert b"\r\nX-Evil" not in odd.got[0]
        with pytest.raises(CallError):
            Http("forge", odd.base, {"Authorization": f"{TOKEN}\r\nX-Evil: 1"}).call("GET", "/a")
    assert len(odd.got) == 1


@pytest.mark.parametrize("text", ["a b", "a\r\nX-Evil: 1", "a\x00b", "g\u00e9heim"])
def test_a_secret_that_cannot_be_a_header_is_a_wrong_setting(tmp_path: Path, text: str) -> None:
    """It is said when the bridge starts, not with the first call."""
    path = tmp_path / "token"
    path.write_text(text)
    with pytest.raises(settings.SettingsError, match=r"GITEA_TOKEN_FILE: .*printable ASCII"):
        settings.load({"GITEA_TOKEN_FILE": str(path)})


def test_an_empty_secret_is_a_wrong_setting(tmp_path: Path) -> None:
    """A webhook whose secret is the empty word would be open to everybody."""
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(settings.SettingsError, match=r"BRIDGE_HOOK_SECRET_FILE: .*is empty"):
        settings.load({"BRIDGE_HOOK_SECRET_FILE": str(tmp_path / "secret")})


# -- what it takes


def test_an_answer_without_an_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as it is too long, it is given up."""
    monkeypatch.setattr(http, "LONGEST_ANSWER", 1000)
    with answering(head("200 OK", "Content-Length: 1000000000") + b"a" * 1001) as odd:
        assert "more than 1,000 bytes" in str(refused(odd)) and refused(odd).kind == "garbled"


@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_is_not_followed(stream: bool) -> None:
    """The token would follow it to wherever it leads."""
    answer = head("302 Found", "Location: /elsewhere", "Content-Length: 0", "Connection: close")
    with answering(answer) as odd:
        with pytest.raises(CallError) as caught:
            list(odd.http.stream("/a", silence=5.0)) if stream else odd.http.call("GET", "/a")
        assert (caught.value.status, len(odd.got)) == (302, 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("begun", [b"", head("200 OK", "Content-Length: 9") + b"a\n"])
def test_a_server_that_falls_silent_is_given_up(begun: bytes, stream: bool) -> None:
    """Before its answer or in the middle of it."""
    with answering(begun) as odd, pytest.raises(CallError) as caught:
        call = odd.http
        list(call.stream("/a", silence=0.2)) if stream else call.call("GET", "/a", timeout=0.2)
    assert caught.value.transient


def test_an_answer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of it comes in time, but the whole would take for ever."""
    monkeypatch.setattr(http, "LONGEST_CALL", -1.0)
    with answering(head("200 OK", "Content-Length: 9") + b"a") as odd:
        assert refused(odd).kind == "slow"
        assert "the answer takes more than" in str(refused(odd))


@pytest.mark.parametrize("seconds", ["\u00b2", "soon", "-1", "Wed, 21 Oct 1815 07:28:00 GMT"])
def test_a_pause_that_makes_no_sense_is_none(seconds: str) -> None:
    """What the server asks us to wait is a number of seconds or a date to come, else we choose."""
    answer = f"HTTP/1.1 429 Slow\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\n\r\n"
    with answering(answer.encode("latin-1")) as odd:
        assert (refused(odd).kind, refused(odd).retry_after) == ("limited", 0.0)


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    """What says it is JSON has to be."""
    kind = ("Content-Type: application/json", "Content-Length: 1", "Connection: close")
    with answering(head("200 OK", *kind) + b"{") as odd:
        assert refused(odd).kind == "garbled"


def test_what_a_server_says_of_a_refusal_is_cut() -> None:
    """It reaches the log and a comment."""
    lines = ("Content-Length: 5000", "Connection: close")
    with answering(head("500 Oh", *lines) + b"a" * 5000) as odd:
        assert len(str(refused(odd))) < 400


def test_only_a_line_feed_ends_a_line_of_a_stream() -> None:
    """Whatever else an app printed stays within its line."""
    body = "a\rb\u2028c\x0bd\r\nend\n".encode()
    with answering(
        head("200 OK", f"Content-Length: {len(body)}", "Connection: close") + body
    ) as odd:
        assert list(odd.http.stream("/a", silence=5.0)) == ["a\rb\u2028c\x0bd", "end"]


def test_the_pause_between_two_tries_grows_to_a_minute_and_no_further() -> None:
    """Unless the server asked for more."""
    backoff = Backoff()
    pauses = [backoff.failed() for _ in range(40)]
    assert 0.5 <= pauses[0] <= 1.0 and min(pauses[8:]) >= 30.0 and max(pauses) <= 60.0
    assert backoff.failed(CallError("limited", "", retry_after=90.0)) == 90.0


# -- what it logs


@pytest.mark.parametrize("secret", ["plain-word", 'with"quote', "back\\slash", "word"])
def test_no_secret_reaches_the_log(secret: str) -> None:
    """Not in a message, not in a trace, and not for a sign in it that JSON escapes."""
    lines = JsonLines((secret, "", f"{secret}-and-more"))
    try:
        raise ValueError(f"{secret}-and-more, {secret}")
    except ValueError:
        record = logging.LogRecord(
            "bridge.x",
            logging.ERROR,
            "",
            1,
            "%s or %s",
            (secret, f"{secret}-and-more"),
            sys.exc_info(),
        )
    row = json.loads(lines.format(record))
    assert row["text"] == "*** or ***"
    assert row["trace"].endswith("ValueError: ***, ***")
