"""The bridge's own pages: the webhook, its health, its figures."""

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

LONGEST_BODY = (
    20_000_000  # bytes; a comment of a megabyte is several, escaped and with its pull request
)
REPO = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
LARGEST_ID = 2**63 - 1
BURST, REFILL = 120.0, 2.0  # deliveries of one client at once, and a second
CLIENTS = 1000  # that are remembered
COMMENTS = frozenset({"pull_request_comment", "issue_comment"})
PULLS = frozenset({"pull_request", "pull_request_sync"})
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
log = logging.getLogger("bridge.web.endpoints")


@dataclass(frozen=True, slots=True)
class Stirred:
    """What a delivery tells us: where to look.

    comment: None where it is about the pull request itself. head: of the pull request when the comment was
    written, "" where it is not told.
    """

    repo: str
    pr: int
    comment: int | None
    head: str = ""


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Say whether a signature is the hex HMAC-SHA256 of the raw body; an empty one never is."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = signature.lower().encode("utf-8", "replace")
    return hmac.compare_digest(wanted.encode(), given)


def read_delivery(event: str, body: bytes) -> Stirred | None:
    """Return what a delivery is about, None where it does not concern us.

    Raises:
        ValueError: the body is not of the expected shape.
    """
    try:
        row = json.loads(body)
        if event in COMMENTS and row.get("action") == "created" and row.get("is_pull"):
            number, comment = _id(row["issue"]["number"]), _id(row["comment"]["id"])
            return Stirred(_repo(row), number, comment, _head(row))
        if event in PULLS:
            return Stirred(_repo(row), _id(row["number"]), None)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not of the expected shape: {error!r}") from error
    return None


def _head(row: dict[str, Any]) -> str:
    """Return the head as the forge had it when it made this delivery; older ones do not tell it."""
    told = str(((row.get("pull_request") or {}).get("head") or {}).get("sha", ""))
    return told if SHA.fullmatch(told) else ""


def _repo(row: dict[str, Any]) -> str:
    """Return the repository's name, which becomes a part of addresses."""
    name = row["repository"]["full_name"]
    if not REPO.fullmatch(name):
        raise ValueError(f"{name[:100]!r} is no repository's name")
    return str(name)


def _id(value: object) -> int:
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise ValueError(f"{str(value)[:40]!r} is no number of anything")
    return value


@dataclass
class Rates:
    """How many deliveries each client may still send; what is spent comes back with time."""

    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, client: str) -> bool:
        """Say whether a client may send one more, and count it."""
        now = self.clock()
        left, since = self._left.pop(client, (BURST, now))
        left = min(BURST, left + (now - since) * REFILL)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        return left >= 1


def make(
    secret: str | None,
    stirred: Callable[[Stirred], None],
    problems: Callable[[], list[str]],
    missed: Callable[[], None] = lambda: None,
    rates: Rates | None = None,
) -> Flask:
    """Make the web application.

    secret: of the webhook, None to keep it closed. stirred: told of each valid delivery; it must be quick,
    since the forge delivers one after the other. problems: what is wrong with the bridge, empty when well.
    missed: told when a delivery was turned away unread for its client sends too many; behind a proxy
    all clients are one, so it may have been a real one.
    """
    app = Flask("bridge", static_folder=None)
    rates = rates or Rates()

    def answer(status: int, text: str) -> Response:
        metrics.HOOKS.labels(str(status)).inc()
        return Response(text + "\n", status, content_type="text/plain; charset=utf-8")

    @app.post("/hook")
    def hook() -> Response:
        begun = time.monotonic()
        if not rates.allows(request.remote_addr or ""):
            missed()
            return answer(429, "too many deliveries; the bridge looks for itself")
        try:
            return answer(*_take(secret, stirred))
        finally:
            metrics.HOOK_SECONDS.observe(time.monotonic() - begun)

    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        found = problems()
        return jsonify(ok=not found, problems=found), 503 if found else 200

    @app.get("/metrics")
    def figures() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    @app.after_request
    def plain(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        methods = (error.valid_methods or ()) if isinstance(error, MethodNotAllowed) else ()
        allowed = {"Allow": ", ".join(methods)} if methods else {}
        kind = "text/plain; charset=utf-8"
        return Response(f"{error.name}\n", error.code, allowed, content_type=kind)

    return app


def _take(secret: str | None, stirred: Callable[[Stirred], None]) -> tuple[int, str]:
    """Check one delivery and pass on where to look; return status and text of the answer."""
    if secret is None:
        return 403, "this bridge has no webhook secret, so it takes no deliveries"
    if request.mimetype != "application/json":
        return 415, "JSON is needed"
    body = request.get_data(cache=False)
    if not is_signed(body, request.headers.get("X-Gitea-Signature", ""), secret):
        log.warning("a delivery with a wrong signature, %d bytes", len(body))
        return 401, "wrong signature"
    event = request.headers.get("X-Gitea-Event-Type") or request.headers.get("X-Gitea-Event", "")
    try:
        found = read_delivery(event, body)
    except ValueError as error:
        log.warning("a signed delivery that cannot be read: %s", error)
        return 400, "cannot be read"
    if found is None:
        return 202, "nothing for us"
    stirred(found)
    return 202, "heard"
