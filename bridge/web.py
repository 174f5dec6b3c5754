"""The bridge's own pages: the webhook, its health, its figures."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, jsonify, request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from bridge import metrics

LONGEST_BODY = (
    20_000_000  # bytes; a comment of a megabyte is several, escaped and with its pull request
)
COMMENTS = frozenset({"pull_request_comment", "issue_comment"})
PULLS = frozenset({"pull_request", "pull_request_sync"})
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
log = logging.getLogger("bridge.web")


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
    return bool(signature) and hmac.compare_digest(wanted.encode(), signature.lower().encode())


def read_delivery(event: str, body: bytes) -> Stirred | None:
    """Return what a delivery is about, None where it does not concern us.

    Raises:
        ValueError: the body is not of the expected shape.
    """
    try:
        row = json.loads(body)
        if event in COMMENTS and row.get("action") == "created" and row.get("is_pull"):
            number, comment = int(row["issue"]["number"]), int(row["comment"]["id"])
            return Stirred(_repo(row), number, comment, _head(row))
        if event in PULLS:
            return Stirred(_repo(row), int(row["number"]), None)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not of the expected shape: {error!r}") from error
    return None


def _head(row: dict[str, Any]) -> str:
    """Return the head as the forge had it when it made this delivery; older ones do not tell it."""
    told = str(((row.get("pull_request") or {}).get("head") or {}).get("sha", ""))
    return told if SHA.fullmatch(told) else ""


def _repo(row: dict[str, Any]) -> str:
    return str(row["repository"]["full_name"])


def make(
    secret: str | None,
    stirred: Callable[[Stirred], None],
    problems: Callable[[], list[str]],
) -> Flask:
    """Make the web application.

    secret: of the webhook, None to keep it closed. stirred: told of each valid delivery; it must be quick,
    since the forge delivers one after the other. problems: what is wrong with the bridge, empty when well.
    """
    app = Flask("bridge")
    app.config["MAX_CONTENT_LENGTH"] = LONGEST_BODY

    def answer(status: int, text: str) -> Response:
        metrics.HOOKS.labels(str(status)).inc()
        return Response(text + "\n", status, content_type="text/plain; charset=utf-8")

    @app.post("/hook")
    def hook() -> Response:
        begun = time.monotonic()
        try:
            return answer(*_take(secret, stirred))
        except RequestEntityTooLarge:
            return answer(413, "too long")
        finally:
            metrics.HOOK_SECONDS.observe(time.monotonic() - begun)

    @app.get("/healthz")
    def healthz() -> tuple[Response, int]:
        found = problems()
        return jsonify(ok=not found, problems=found), 503 if found else 200

    @app.get("/metrics")
    def figures() -> Response:
        return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return Response(f"{error.name}\n", error.code, content_type="text/plain; charset=utf-8")

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
