"""The bridge's web surface against clients that mean no good: limits, odd requests, replays."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from flask.testing import FlaskClient

from bridge.comments.grammar import Command
from bridge.comments.listener import LOOK_AGAIN, Listener
from bridge.store import Spoken, Store
from bridge.web import endpoints, server
from bridge.web.endpoints import Rates, Stirred

SECRET = "hook-secret"
COMMENT = {
    "action": "created",
    "is_pull": True,
    "repository": {"full_name": "org/shop"},
    "issue": {"number": 3},
    "comment": {"id": 77},
}


class Ears:
    """What the pages told the bridge."""

    def __init__(self) -> None:
        self.heard: list[Stirred] = []
        self.missed = 0

    def miss(self) -> None:
        """Count a delivery that was turned away."""
        self.missed += 1


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now


@pytest.fixture
def ears() -> Ears:
    """Hand out what is told."""
    return Ears()


@pytest.fixture
def clock() -> Clock:
    """Hand out a clock."""
    return Clock()


@pytest.fixture
def client(ears: Ears, clock: Clock) -> FlaskClient:
    """Hand out a client of the pages."""
    return endpoints.make(SECRET, ears.heard.append, list, ears.miss, Rates(clock)).test_client()


def headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a delivery."""
    return {
        "Content-Type": "application/json",
        "X-Gitea-Event": "issue_comment",
        "X-Gitea-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def deliver(client: FlaskClient, row: object, **more: str) -> int:
    """Deliver something, signed; return the answer's status."""
    body = row if isinstance(row, bytes) else json.dumps(row).encode()
    return client.post("/hook", data=body, headers={**headers(body), **more}).status_code


# -- what is not heard


def test_a_delivery_is_heard(client: FlaskClient, ears: Ears) -> None:
    """What follows is not refused because everything is."""
    assert deliver(client, COMMENT) == 202
    assert ears.heard == [Stirred("org/shop", 3, 77)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(client: FlaskClient, ears: Ears, method: str) -> None:
    """A delivery is a POST; the answer says so."""
    body = json.dumps(COMMENT).encode()
    answer = client.open("/hook", method=method, data=body, headers=headers(body))
    assert (answer.status_code, ears.heard) == (405, [])
    assert "POST" in answer.headers["Allow"]
    assert client.post("/healthz").status_code == client.post("/metrics").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../web.py",
        "/static/web.py",
        "/static/%2e%2e/web.py",
        "/../etc/passwd",
        "/hook/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/hook%00",
        "/metrics/..%2f..%2fetc/passwd",
    ],
)
def test_no_path_leads_to_a_file(client: FlaskClient, path: str) -> None:
    """There are three pages and no folder of files."""
    answer = client.get(path)
    assert answer.status_code in (404, 405, 308)
    assert b"root:" not in answer.data and b"import" not in answer.data


@pytest.mark.parametrize(
    "signature",
    ["", "0" * 64, "sha256=" + "0" * 64, "\u00e9" * 64, "A", "0" * 63, "0" * 65, " " * 64],
)
def test_a_wrong_signature_is_refused(client: FlaskClient, ears: Ears, signature: str) -> None:
    """Also one that is no ASCII."""
    assert deliver(client, COMMENT, **{"X-Gitea-Signature": signature}) == 401
    assert ears.heard == []


def test_a_signature_of_another_body_or_secret_is_refused(client: FlaskClient, ears: Ears) -> None:
    """It is of the raw bytes, all of them, and whole."""
    body = json.dumps(COMMENT).encode()
    right = headers(body)["X-Gitea-Signature"]
    parts = [{**headers(body), "X-Gitea-Signature": part} for part in (right[:-1], right[:8])]
    for wrong in (headers(body + b" "), headers(body, "other"), *parts):
        assert client.post("/hook", data=body, headers=wrong).status_code == 401
    assert client.post("/hook", data=body + b"\n", headers=headers(body)).status_code == 401
    assert ears.heard == []


def test_a_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long it takes tells nobody how much of a guess was right."""
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: bool(compared.append((a, b))))
    assert not endpoints.is_signed(b"{}", "0" * 64, SECRET)
    assert [given for _, given in compared] == [b"0" * 64]


def test_without_a_secret_nothing_is_taken(ears: Ears) -> None:
    """Not even what is signed with the empty word."""
    closed = endpoints.make(None, ears.heard.append, list).test_client()
    body = json.dumps(COMMENT).encode()
    assert closed.post("/hook", data=body, headers=headers(body, "")).status_code == 403
    assert ears.heard == []


@pytest.mark.parametrize(
    ("event", "row"),
    [
        ("issue_comment", {**COMMENT, "action": "edited"}),
        ("issue_comment", {**COMMENT, "action": "deleted"}),
        ("issue_comment", {**COMMENT, "is_pull": False}),
        ("push", COMMENT),
        ("push", {**COMMENT, "number": 3}),
        ("", COMMENT),
    ],
)
def test_what_is_no_new_comment_on_a_pull_request_stirs_nothing(
    client: FlaskClient, ears: Ears, event: str, row: object
) -> None:
    """An edited comment, one on an issue, another event: taken, and passed over."""
    assert deliver(client, row, **{"X-Gitea-Event": event}) == 202
    assert ears.heard == []


@pytest.mark.parametrize(
    ("pull", "head"),
    [
        ({"head": {"sha": "a" * 40}}, "a" * 40),
        ({"head": {"sha": "a" * 40 + "\n"}}, ""),
        ({"head": {"sha": "../../admin"}}, ""),
        ({"head": {"sha": None}}, ""),
        ({"head": None}, ""),
        (None, ""),
    ],
)
def test_a_head_is_a_commit_or_not_told(
    client: FlaskClient, ears: Ears, pull: object, head: str
) -> None:
    """It becomes a parameter of a build; what is no commit is asked for instead."""
    assert deliver(client, {**COMMENT, "pull_request": pull}) == 202
    assert ears.heard == [Stirred("org/shop", 3, 77, head)]


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"action": ' + b"9" * 5000 + b"}",
        {**COMMENT, "issue": {"number": 1e999}},
        {**COMMENT, "issue": {"number": "3"}},
        {**COMMENT, "issue": {"number": -3}},
        {**COMMENT, "issue": {"number": 0}},
        {**COMMENT, "issue": {"number": True}},
        {**COMMENT, "issue": {"number": 2**63}},
        {**COMMENT, "issue": None},
        {**COMMENT, "comment": []},
        {**COMMENT, "repository": {"full_name": "org/../../admin/users"}},
        {**COMMENT, "repository": {"full_name": "org/.."}},
        {**COMMENT, "repository": {"full_name": "../shop"}},
        {**COMMENT, "repository": {"full_name": "org/" + "a" * 101}},
        {**COMMENT, "repository": {"full_name": "org/shop\r\nX-Evil: 1"}},
        {**COMMENT, "repository": {"full_name": "org/shop?x=1#"}},
        {**COMMENT, "repository": {"full_name": {"a": 1}}},
    ],
    ids=lambda row: repr(row)[:40],
)
def test_a_signed_delivery_of_another_shape_is_refused(
    client: FlaskClient, ears: Ears, row: object
) -> None:
    """Its names and numbers become parts of addresses, so they are looked at."""
    assert deliver(client, row) == 400
    assert ears.heard == []


def test_other_kinds_of_content_are_refused(client: FlaskClient, ears: Ears) -> None:
    """A form could be sent by any page that a member of the organisation opens."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""):
        assert deliver(client, COMMENT, **{"Content-Type": kind}) == 415
    assert ears.heard == []


def test_answers_are_text_and_nothing_else(client: FlaskClient) -> None:
    """No browser takes an answer for a page."""
    for answer in (
        client.get("/<script>alert(1)</script>"),
        client.get("/healthz"),
        client.post("/hook"),
    ):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "html" not in answer.headers["Content-Type"]
        assert b"<script" not in answer.data


# -- limits


def test_a_client_that_sends_too_many_waits_and_nothing_is_lost(
    client: FlaskClient, ears: Ears, clock: Clock
) -> None:
    """What is turned away unread makes the bridge look for itself; patience is rewarded."""
    statuses = [deliver(client, COMMENT) for _ in range(130)]
    assert statuses == [202] * 120 + [429] * 10
    assert (len(ears.heard), ears.missed) == (120, 10)
    clock.now += 5
    assert [deliver(client, COMMENT) for _ in range(11)] == [202] * 10 + [429]
    clock.now += 1_000_000
    assert [deliver(client, COMMENT) for _ in range(121)] == [202] * 120 + [429]


def test_one_client_does_not_spend_what_another_has(
    client: FlaskClient, ears: Ears, clock: Clock
) -> None:
    """And not more clients are remembered than there is room for; a newer one is, for an older one."""
    body = json.dumps(COMMENT).encode()
    for address, times in (("10.0.0.1", 121), ("10.0.0.2", 120)):
        where = {"REMOTE_ADDR": address}
        for _ in range(times):
            client.post("/hook", data=body, headers=headers(body), environ_base=where)
    assert (len(ears.heard), ears.missed) == (240, 1)
    rates = Rates(clock)
    assert all(rates.allows(f"10.1.{n // 256}.{n % 256}") for n in range(endpoints.CLIENTS + 10))
    assert [rates.allows("10.0.0.3") for _ in range(121)].count(False) == 1
    assert len(rates._left) == endpoints.CLIENTS


def test_looking_for_itself_is_no_lever_for_strangers(tmp_path: Path) -> None:
    """However many deliveries are turned away, the bridge looks everywhere twice a minute at most."""

    class Rules:
        org = "org"

        def enrolled(self) -> frozenset[str]:
            return frozenset()

    listener = Listener(None, Store(tmp_path / "s.sqlite"), Rules(), 0.0, lambda: None)  # type: ignore[arg-type]
    assert listener.step() == float("inf")
    listener.look_everywhere()
    assert listener.stirred.is_set()
    assert 0 < listener.step() <= LOOK_AGAIN
    for _ in range(100):
        listener.look_everywhere()
    assert LOOK_AGAIN - 5 < listener.step() <= LOOK_AGAIN


def test_the_same_delivery_again_starts_nothing_again(
    client: FlaskClient, ears: Ears, tmp_path: Path
) -> None:
    """A delivery says only where to look, and what was heard once is not new."""
    assert [deliver(client, COMMENT) for _ in range(3)] == [202] * 3
    assert set(ears.heard) == {Stirred("org/shop", 3, 77)}
    store = Store(tmp_path / "s.sqlite")
    spoken = Spoken(77, "org/shop", 3, "alice", Command.COLD, time.time())
    store.enrol("org/shop", datetime.now(UTC))
    assert store.heard("org/shop", [spoken], None) == [spoken]
    assert store.heard("org/shop", [spoken], None) == []


# -- a real server


@contextmanager
def serving(ears: Ears) -> Iterator[int]:
    """Serve the pages; hand out the port."""
    app = endpoints.make(SECRET, ears.heard.append, list, ears.miss)
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
def port(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Serve the pages with little patience; return the port."""
    monkeypatch.setattr(server.Channel, "request_time", 0.5)
    monkeypatch.setattr(server, "SILENCE", 1)
    with serving(ears) as found:
        yield found


def closed_within(sock: socket.socket, seconds: float, drip: bytes) -> float:
    """Send one byte after the other until the server hangs up; return the seconds it took."""
    begun = time.monotonic()
    sock.settimeout(0.05)
    while time.monotonic() - begun < seconds:
        try:
            sock.sendall(drip)
            if sock.recv(1000) == b"":
                return time.monotonic() - begun
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - begun
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
def test_a_request_that_drips_is_given_up(port: int, start: bytes) -> None:
    """A byte now and then is activity, but the request as a whole has its time."""
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
def test_a_request_that_is_too_large_or_none_is_refused_at_once(
    port: int, head: str, status: bytes
) -> None:
    """Before its body is read."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(10)
        sock.sendall(head.encode("latin-1"))
        assert status in sock.recv(1000).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("size", "chunked", "status"),
    [(1000, False, 401), (1001, False, 413), (900, True, 401), (1001, True, 413)],
)
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(
    ears: Ears, monkeypatch: pytest.MonkeyPatch, size: int, chunked: bool, status: int
) -> None:
    """Whether its length is told before or not; chunks count with what frames them."""
    monkeypatch.setattr(server, "LONGEST_BODY", 1000)
    with serving(ears) as port:
        answer = requests.post(
            f"http://127.0.0.1:{port}/hook",
            data=iter([b"a" * size]) if chunked else b"a" * size,
            headers={"Content-Type": "application/json"},
            timeout=30,
        )
    assert (answer.status_code, answer.headers["Server"]) == (status, "cc-ci")


def test_no_more_connections_are_taken_than_there_is_room_for(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes when it is full waits until somebody leaves."""
    monkeypatch.setattr(server, "CONNECTIONS", 6)
    monkeypatch.setattr(server, "SILENCE", 600)
    with serving(ears) as port:
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


def test_connections_that_say_nothing_do_not_keep_others_out_for_long(port: int) -> None:
    """They are bounded in number and in time; the bridge answers again."""
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(server.CONNECTIONS + 20)]
    try:
        url = f"http://127.0.0.1:{port}/healthz"
        assert requests.get(url, timeout=server.SILENCE + 10).status_code == 200
    finally:
        for sock in idle:
            sock.close()


def test_an_address_that_is_taken_is_a_sentence(port: int) -> None:
    """A second server says where it cannot listen, and why."""
    app = endpoints.make(SECRET, lambda stirred: None, list, lambda: None)
    with pytest.raises(server.CannotListen, match=f"'127.0.0.1:{port}': Address already in use"):
        server.Server(app, "127.0.0.1", port)
