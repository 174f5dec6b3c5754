"""The responses of the HTTP interface in Drone's form: JSON, a repository, the stream of a log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flask import Response, request
from werkzeug.exceptions import HTTPException

from sandbox.standins.drone.config import Repo
from sandbox.standins.drone.server.live_log import LiveLog

NO_STORE = "no-cache, no-store, must-revalidate, private, max-age=0"
PING_INTERVAL = 30.0  # seconds without an entry
STREAM_HEADERS = {
    "Cache-Control": "no-cache",
    "Expires": "Thu, 01 Jan 1970 00:00:00 UTC",
    "Pragma": "no-cache",
    "Vary": "Origin",
    "X-Accel-Buffering": "no",
    "X-Accel-Expires": "0",
}


def json_response(body: object, status: int = 200) -> Response:
    """Return a response with a JSON body."""
    return Response(json.dumps(body) + "\n", status, mimetype="application/json")


def event_stream(live: LiveLog | None) -> Response:
    """Return the stream of a step's log, which ends immediately if the step does not run."""
    return Response(_events(live), content_type="text/event-stream", headers=STREAM_HEADERS)


def _events(live: LiveLog | None) -> Iterator[str]:
    yield ": ping\n\n"
    for entry in live.follow(ping=PING_INTERVAL) if live else ():
        yield ": ping\n\n" if entry is None else f"data: {json.dumps(entry.json())}\n\n\n"
    yield "event: error\ndata: eof\n\n"


def no_store(response: Response) -> Response:
    """Forbid caching, unless the response has its own header for it."""
    response.headers.setdefault("Cache-Control", NO_STORE)
    return response


def unknown_address(error: HTTPException) -> Response:
    """Respond with 501 for a page, which the stand-in does not have, and a plain 404 for the API."""
    if error.code in (404, 405) and not request.path.startswith("/api/"):
        text = f"the stand-in does not support {request.method} {request.path}\n"
        return Response(text, 501, mimetype="text/plain")
    return Response("404 page not found\n", 404, mimetype="text/plain")


def repo_json(repo: Repo, *, timeout_minutes: float, counter: int) -> dict[str, Any]:
    """Return a repository as Drone shows it; `counter` is the number of its last build."""
    return {
        "id": repo.id,
        "uid": str(repo.id),
        "user_id": 1,
        "namespace": repo.owner,
        "name": repo.name,
        "slug": repo.slug,
        "scm": "",
        "git_http_url": repo.clone_url,
        "git_ssh_url": f"git@localhost:{repo.slug}.git",
        "link": repo.link,
        "default_branch": repo.branch,
        "private": False,
        "visibility": "public",
        "active": repo.active,
        "config_path": ".drone.yml",
        "trusted": False,
        "protected": False,
        "ignore_forks": False,
        "ignore_pull_requests": False,
        "auto_cancel_pull_requests": False,
        "auto_cancel_pushes": False,
        "auto_cancel_running": False,
        "timeout": int(timeout_minutes)
        if timeout_minutes == int(timeout_minutes)
        else timeout_minutes,
        "counter": counter,
        "synced": 0,
        "created": 0,
        "updated": 0,
        "version": 1,
        "archived": False,
    }
