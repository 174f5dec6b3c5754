"""The HTTP endpoints against malicious clients: signatures, invalid requests, limits."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from flask.testing import FlaskClient

from bridge.web import endpoints
from bridge.web.endpoints import RateLimiter, WebhookEvent

SECRET = "hook-secret"
COMMENT = {
    "action": "created",
    "is_pull": True,
    "repository": {"full_name": "org/shop"},
    "issue": {"number": 3},
    "comment": {"id": 77},
}


class Calls:
    """What the endpoints passed on to the bridge."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.rejected = 0

    def reject(self) -> None:
        """Count a rejected request."""
        self.rejected += 1


class Clock:
    """A clock that is moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now


@pytest.fixture
def calls() -> Calls:
    """Return a recorder of calls."""
    return Calls()


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def client(calls: Calls, clock: Clock) -> FlaskClient:
    """Return a client of the application."""
    limiter = RateLimiter(clock)
    app = endpoints.make_app(SECRET, calls.events.append, list, calls.reject, limiter)
    return app.test_client()


def headers(body: bytes, secret: str = SECRET) -> dict[str, str]:
    """Return the headers of a webhook request."""
    return {
        "Content-Type": "application/json",
        "X-Gitea-Event": "issue_comment",
        "X-Gitea-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def send(client: FlaskClient, row: object, **more: str) -> int:
    """Send a signed webhook request; return the HTTP status."""
    body = row if isinstance(row, bytes) else json.dumps(row).encode()
    return client.post("/hook", data=body, headers={**headers(body), **more}).status_code


# -- what is accepted


def test_valid_request_is_accepted(client: FlaskClient, calls: Calls) -> None:
    """So the tests below do not pass because everything is refused."""
    assert send(client, COMMENT) == 202
    assert calls.events == [WebhookEvent("org/shop", 3, 77)]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"])
def test_other_methods_are_refused(client: FlaskClient, calls: Calls, method: str) -> None:
    body = json.dumps(COMMENT).encode()
    response = client.open("/hook", method=method, data=body, headers=headers(body))
    assert (response.status_code, calls.events) == (405, [])
    assert "POST" in response.headers["Allow"]
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
def test_no_path_serves_a_file(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code in (404, 405, 308)
    assert b"root:" not in response.data and b"import" not in response.data


@pytest.mark.parametrize(
    "signature",
    ["", "0" * 64, "sha256=" + "0" * 64, "\u00e9" * 64, "A", "0" * 63, "0" * 65, " " * 64],
)
def test_wrong_signature_is_refused(client: FlaskClient, calls: Calls, signature: str) -> None:
    assert send(client, COMMENT, **{"X-Gitea-Signature": signature}) == 401
    assert calls.events == []


def test_signature_of_another_body_or_secret_is_refused(client: FlaskClient, calls: Calls) -> None:
    """The signature covers all raw bytes, and a part of it is not enough."""
    body = json.dumps(COMMENT).encode()
    right = headers(body)["X-Gitea-Signature"]
    parts = [{**headers(body), "X-Gitea-Signature": part} for part in (right[:-1], right[:8])]
    for wrong in (headers(body + b" "), headers(body, "other"), *parts):
        assert client.post("/hook", data=body, headers=wrong).status_code == 401
    assert client.post("/hook", data=body + b"\n", headers=headers(body)).status_code == 401
    assert calls.events == []


def test_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The duration must not reveal how much of a guess was right."""
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    assert not endpoints.is_signed(b"{}", "0" * 64, SECRET)
    assert [given for _, given in compared] == [b"0" * 64]


def test_without_a_secret_every_request_is_refused(calls: Calls) -> None:
    """Also one that is signed with an empty secret."""
    closed = endpoints.make_app(None, calls.events.append, list).test_client()
    body = json.dumps(COMMENT).encode()
    assert closed.post("/hook", data=body, headers=headers(body, "")).status_code == 403
    assert calls.events == []


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
def test_only_new_comments_on_pull_requests_count(
    client: FlaskClient, calls: Calls, event: str, row: object
) -> None:
    """Edited comments, comments on issues and other events are accepted and ignored."""
    assert send(client, row, **{"X-Gitea-Event": event}) == 202
    assert calls.events == []


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
def test_invalid_head_is_ignored(
    client: FlaskClient, calls: Calls, pull: object, head: str
) -> None:
    """It becomes a parameter of a build; if it is not a sha, the forge is asked instead."""
    assert send(client, {**COMMENT, "pull_request": pull}) == 202
    assert calls.events == [WebhookEvent("org/shop", 3, 77, head)]


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
def test_signed_request_with_invalid_body_is_refused(
    client: FlaskClient, calls: Calls, row: object
) -> None:
    """Its names and numbers become parts of URLs, so they are checked."""
    assert send(client, row) == 400
    assert calls.events == []


def test_other_content_types_are_refused(client: FlaskClient, calls: Calls) -> None:
    """Any page that a member of the organisation opens could send a form."""
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""):
        assert send(client, COMMENT, **{"Content-Type": kind}) == 415
    assert calls.events == []


def test_responses_are_never_html(client: FlaskClient) -> None:
    for response in (
        client.get("/<script>alert(1)</script>"),
        client.get("/healthz"),
        client.post("/hook"),
    ):
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "no-store"
        assert "html" not in response.headers["Content-Type"]
        assert b"<script" not in response.data


# -- limits


def test_client_with_too_many_requests_has_to_wait(
    client: FlaskClient, calls: Calls, clock: Clock
) -> None:
    """Requests that are rejected unread make the bridge read the forge, so nothing is lost."""
    statuses = [send(client, COMMENT) for _ in range(130)]
    assert statuses == [202] * 120 + [429] * 10
    assert (len(calls.events), calls.rejected) == (120, 10)
    clock.now += 5
    assert [send(client, COMMENT) for _ in range(11)] == [202] * 10 + [429]
    clock.now += 1_000_000
    assert [send(client, COMMENT) for _ in range(121)] == [202] * 120 + [429]


def test_each_client_has_its_own_limit(client: FlaskClient, calls: Calls, clock: Clock) -> None:
    """A limited number of clients is remembered; a new one replaces the oldest."""
    body = json.dumps(COMMENT).encode()
    for address, times in (("10.0.0.1", 121), ("10.0.0.2", 120)):
        where = {"REMOTE_ADDR": address}
        for _ in range(times):
            client.post("/hook", data=body, headers=headers(body), environ_base=where)
    assert (len(calls.events), calls.rejected) == (240, 1)
    limiter = RateLimiter(clock)
    assert all(
        limiter.allows(f"10.1.{n // 256}.{n % 256}") for n in range(endpoints.MAX_CLIENTS + 10)
    )
    assert [limiter.allows("10.0.0.3") for _ in range(121)].count(False) == 1
    assert len(limiter._buckets) == endpoints.MAX_CLIENTS


def test_repeated_request_is_the_same_event(client: FlaskClient, calls: Calls) -> None:
    """A request only says where to look; the store records each comment once."""
    assert [send(client, COMMENT) for _ in range(3)] == [202] * 3
    assert set(calls.events) == {WebhookEvent("org/shop", 3, 77)}
