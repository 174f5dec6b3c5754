"""HTTP endpoints: `/hook` for the forge's webhook, `/healthz`, `/metrics`."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from bridge import metrics

MAX_BODY = 20_000_000  # bytes; a comment of 1 MB becomes several, escaped and with its pull request
MAX_ID = 2**63 - 1
BURST = 120.0  # requests that one client may send without a pause
REFILL = 2.0  # requests a second that it may send after that
MAX_CLIENTS = 1000  # that are remembered
COMMENTS = frozenset({"pull_request_comment", "issue_comment"})
PULLS = frozenset({"pull_request", "pull_request_sync"})
REPO = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
TEXT = "text/plain; charset=utf-8"
log = logging.getLogger("bridge.web.endpoints")


# %% Reading a request of the webhook


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a webhook request is about.

    `comment` is None for an event of the pull request itself. `head` is the commit at the head of the pull
    request when the comment was written, "" if the forge did not report it.
    """

    repo: str
    pr: int
    comment: int | None
    head: str = ""


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Return True if a signature is the hex HMAC-SHA256 of the raw body."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = signature.lower().encode("utf-8", "replace")
    return hmac.compare_digest(wanted.encode(), given)


def parse_event(event: str, body: bytes) -> WebhookEvent | None:
    """Return what a request is about, None if it does not concern the bridge.

    Args:
        event: name of the event, from the headers.
        body: raw JSON.

    Raises:
        ValueError: the body is invalid.
    """
    try:
        row = json.loads(body)
        if event in COMMENTS and row.get("action") == "created" and row.get("is_pull"):
            number, comment = _id(row["issue"]["number"]), _id(row["comment"]["id"])
            return WebhookEvent(_repo(row), number, comment, _head(row))
        if event in PULLS:
            return WebhookEvent(_repo(row), _id(row["number"]), None)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"unexpected structure: {error!r}") from error
    return None


def _head(row: dict[str, Any]) -> str:
    """Return the head at the time of the event; older forges do not report it."""
    sha = str(((row.get("pull_request") or {}).get("head") or {}).get("sha", ""))
    return sha if SHA.fullmatch(sha) else ""


def _repo(row: dict[str, Any]) -> str:
    """Return the name of the repository, which becomes a part of URLs."""
    name = row["repository"]["full_name"]
    if not REPO.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is not a repository name")
    return str(name)


def _id(value: object) -> int:
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise ValueError(f"{str(value)[:40]!r} is not an id")
    return value


@dataclass
class RateLimiter:
    """A token bucket for each client; `clock` returns seconds."""

    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, client: str) -> bool:
        """Return True if a client may send one more request, and count it."""
        now = self.clock()
        left, since = self._buckets.pop(client, (BURST, now))
        left = min(BURST, left + (now - since) * REFILL)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return left >= 1


# %% The application


def make_app(
    secret: str | None,
    on_event: Callable[[WebhookEvent], None],
    problems: Callable[[], list[str]],
    on_rejected: Callable[[], None] = lambda: None,
    limiter: RateLimiter | None = None,
) -> Flask:
    """Return the web application.

    Args:
        secret: of the webhook; None refuses all requests.
        on_event: called for each valid event. It must be quick: the forge sends one event after the other.
        problems: returns what is wrong with the bridge, an empty list if it is healthy.
        on_rejected: called when a request is refused unread because its client sends too many. Behind a
            proxy all clients have one address, so the refused request may have been genuine.
        limiter: limits requests of one client.
    """
    app = Flask("bridge", static_folder=None)
    limiter = limiter or RateLimiter()

    def respond(status: int, text: str) -> Response:
        metrics.HOOKS.labels(str(status)).inc()
        return Response(text + "\n", status, content_type=TEXT)

    @app.post("/hook")
    def hook() -> Response:
        start = time.monotonic()
        if not limiter.allows(request.remote_addr or ""):
            on_rejected()
            return respond(429, "too many requests; the bridge reads the forge on its own")
        try:
            return respond(*_receive(secret, on_event))
        finally:
            metrics.HOOK_SECONDS.observe(time.monotonic() - start)

    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        found = problems()
        return jsonify(ok=not found, problems=found), 503 if found else 200

    @app.get("/metrics")
    def all_metrics() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    app.after_request(_add_headers)
    app.register_error_handler(HTTPException, _text_error)
    return app


def _add_headers(response: Response) -> Response:
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    return response


def _text_error(error: HTTPException) -> Response:
    """Respond to an HTTP error with plain text; Flask would send HTML."""
    methods = (error.valid_methods or ()) if isinstance(error, MethodNotAllowed) else ()
    allowed = {"Allow": ", ".join(methods)} if methods else {}
    return Response(f"{error.name}\n", error.code, allowed, content_type=TEXT)


def _receive(secret: str | None, on_event: Callable[[WebhookEvent], None]) -> tuple[int, str]:
    """Check one request and pass the event on; return HTTP status and text of the response."""
    if secret is None:
        return 403, "no webhook secret is set, so webhook requests are refused"
    if request.mimetype != "application/json":
        return 415, "the content type must be application/json"
    body = request.get_data(cache=False)
    if not is_signed(body, request.headers.get("X-Gitea-Signature", ""), secret):
        log.warning("webhook request with a wrong signature, %d bytes", len(body))
        return 401, "wrong signature"
    event = request.headers.get("X-Gitea-Event-Type") or request.headers.get("X-Gitea-Event", "")
    try:
        found = parse_event(event, body)
    except ValueError as error:
        log.warning("invalid webhook request with a correct signature: %s", error)
        return 400, "invalid request"
    if found is None:
        return 202, "ignored"
    on_event(found)
    return 202, "accepted"
