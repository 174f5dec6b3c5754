"""The HTTP interface: addresses, who may do what, and the answers in Drone's form."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from sandbox.standins.drone import VERSION
from sandbox.standins.drone.config import Config, Repo, User
from sandbox.standins.drone.server.build_service import Server
from sandbox.standins.drone.server.forge import ForgeError
from sandbox.standins.drone.server.live_log import LiveLog
from sandbox.standins.drone.server.model import Build
from sandbox.standins.drone.server.trigger import HEADS, NOWHERE, NoConfig, Trigger

NO_STORE = "no-cache, no-store, must-revalidate, private, max-age=0"
NO_ROW = "sql: no rows in result set"
PING = 30.0  # seconds
PAGE = 25  # builds, unless asked otherwise
LONGEST_PAGE = 100
STREAM_HEADERS = {
    "Cache-Control": "no-cache",
    "Expires": "Thu, 01 Jan 1970 00:00:00 UTC",
    "Pragma": "no-cache",
    "Vary": "Origin",
    "X-Accel-Buffering": "no",
    "X-Accel-Expires": "0",
}


class Refusal(Exception):
    """The request is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def make(server: Server, trigger: Trigger) -> Flask:
    """Return the application."""
    app = Flask(__name__)
    api = Api(server, trigger)
    repo, build = "/api/repos/<owner>/<name>", "/api/repos/<owner>/<name>/builds/<number>"
    routes: list[tuple[str, str, Callable[..., Response]]] = [
        ("GET", "/healthz", lambda: Response("OK", mimetype="text/plain")),
        ("GET", "/version", lambda: answer({"version": VERSION})),
        ("GET", "/api/user", api.user),
        ("GET", repo, api.repo),
        ("PATCH", repo, api.change_repo),
        ("GET", f"{repo}/builds", api.builds),
        ("POST", f"{repo}/builds", api.create),
        ("GET", f"{repo}/builds/latest", api.latest),
        ("GET", build, api.build),
        ("POST", build, api.restart),
        ("DELETE", build, api.cancel),
        ("GET", f"{build}/logs/<stage>/<step>", api.log),
        ("GET", "/api/stream/<owner>/<name>/<number>/<stage>/<step>", api.stream),
        ("POST", "/hook", api.hook),
    ]
    for method, address, view in routes:
        app.add_url_rule(address, f"{method} {address}", view, methods=[method])
    app.register_error_handler(Refusal, lambda e: answer({"message": str(e)}, e.status))
    app.register_error_handler(HTTPException, _unknown)
    app.after_request(_no_store)
    return app


def answer(body: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(json.dumps(body) + "\n", status, mimetype="application/json")


@dataclass(frozen=True)
class Api:
    """One method for each address."""

    server: Server
    trigger: Trigger

    def user(self) -> Response:
        """Answer with whose token it is."""
        user = _user(self._config)
        return answer({"login": user.login, "machine": True, "admin": user.admin, "active": True})

    def repo(self, owner: str, name: str) -> Response:
        """Answer with a repository."""
        return answer(self._repo_json(self._repo(owner, name)))

    def change_repo(self, owner: str, name: str) -> Response:
        """Change the time-out; here it may be a part of a minute."""
        repo = self._writable(owner, name)
        found = _json(request.get_data())
        for key, value in found.items():
            if key != "timeout":
                refuse(400, f"the stand-in does not model changing '{key}'")
            if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
                refuse(400, f"'timeout' is {value!r}; it must be minutes above 0")
            self.server.store.set_timeout(repo.slug, value)
        return answer(self._repo_json(repo))

    def builds(self, owner: str, name: str) -> Response:
        """Answer with a page of builds, newest first, without their stages."""
        found = self.server.builds(self._repo(owner, name), request.args.get("branch", ""))
        page, size = max(_query_number("page"), 1), _query_number("per_page")
        size = min(size, LONGEST_PAGE) if size > 0 else PAGE
        part = found[(page - 1) * size : page * size]
        return answer([self.server.show(build, stages=False) for build in part])

    def create(self, owner: str, name: str) -> Response:
        """Make a build of the query's branch, commit and parameters."""
        repo = self._writable(owner, name)
        return self._made(lambda: self.trigger.custom(repo, _user(self._config).login, _query()))

    def latest(self, owner: str, name: str) -> Response:
        """Answer with the newest build of a branch."""
        repo = self._repo(owner, name)
        branch = request.args.get("branch") or repo.branch
        branch = request.args.get("ref", branch).removeprefix(HEADS)
        found = self.server.builds(repo, branch)
        return answer(self.server.show(found[0])) if found else refuse(404, NO_ROW)

    def build(self, owner: str, name: str, number: str) -> Response:
        """Answer with a build."""
        return answer(self.server.show(self._build(self._repo(owner, name), number)))

    def restart(self, owner: str, name: str, number: str) -> Response:
        """Make a build like an old one."""
        repo = self._writable(owner, name)
        old = self._build(repo, number)
        login = _user(self._config).login
        return self._made(lambda: self.trigger.restart(repo, login, old, _query()))

    def cancel(self, owner: str, name: str, number: str) -> Response:
        """Cancel a build."""
        build = self._build(self._writable(owner, name), number)
        self.server.cancel(build)
        return answer(self.server.show(build))

    def log(self, owner: str, name: str, number: str, stage: str, step: str) -> Response:
        """Answer with the log of a step that has ended."""
        build = self._build(self._repo(owner, name), number)
        text = self.server.store.log(self._step(build, stage, step)[0])
        if text is None:
            refuse(404, NO_ROW)
        return Response(text + "\n", mimetype="application/json")

    def stream(self, owner: str, name: str, number: str, stage: str, step: str) -> Response:
        """Stream the log of a step that runs."""
        build = self._build(self._repo(owner, name), number)
        _, live = self._step(build, stage, step)
        return Response(_events(live), content_type="text/event-stream", headers=STREAM_HEADERS)

    def hook(self) -> Response:
        """Take a delivery of the forge; a push may become a build."""
        raw = request.get_data()
        if request.headers.get("X-Gitea-Event") != "push":
            return Response("")
        found = _json(raw)
        repo = self._config.repos.get((found.get("repository") or {}).get("full_name", ""))
        if repo is None:
            refuse(400, "Cannot find repository")
        self._check_sender(raw)
        if found.get("after", NOWHERE) == NOWHERE:
            return Response("")
        if not str(found.get("ref", "")).startswith(HEADS):
            return answer(None)
        return self._made(lambda: self.trigger.push(repo, found))

    @property
    def _config(self) -> Config:
        return self.server.config

    def _repo(self, owner: str, name: str) -> Repo:
        return self._config.repos.get(f"{owner}/{name}") or refuse(404, "Not Found")

    def _writable(self, owner: str, name: str) -> Repo:
        """Return a repository to a user who may change it; others are told that it is not there."""
        user = _user(self._config)
        return self._repo(owner, name) if user.admin else refuse(404, "Not Found")

    def _build(self, repo: Repo, number: str) -> Build:
        found = self.server.build(repo, _number(number, "ParseInt"))
        return found or refuse(404, NO_ROW)

    def _step(self, build: Build, stage: str, step: str) -> tuple[int, LiveLog | None]:
        numbers = _number(stage, "Atoi"), _number(step, "Atoi")
        found = build.stage(numbers[0])
        one = found.step(numbers[1]) if found else None
        if one is None:
            refuse(404, NO_ROW)
        return one.id, self.server.live_log(one)

    def _made(self, make: Callable[[], Build | None]) -> Response:
        try:
            build = make()
        except ForgeError as error:
            refuse(404, str(error))
        except NoConfig:
            refuse(500, "Not Found")
        return answer(build.made if build else None)

    def _check_sender(self, raw: bytes) -> None:
        """Refuse a delivery with neither a right signature nor, as Drone's own hook, the secret."""
        secret = self._config.hook_secret
        if not secret:
            return
        signed, given = request.headers.get("X-Gitea-Signature"), request.args.get("secret")
        right = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
        checks = [hmac.compare_digest(right, signed)] if signed else []
        checks += [hmac.compare_digest(secret, given)] if given else []
        if not checks or not all(checks):
            refuse(400, "Invalid webhook signature")

    def _repo_json(self, repo: Repo) -> dict[str, Any]:
        minutes = self.server.timeout(repo)
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
            "timeout": int(minutes) if minutes == int(minutes) else minutes,
            "counter": self.server.counter(repo),
            "synced": 0,
            "created": 0,
            "updated": 0,
            "version": 1,
            "archived": False,
        }


def refuse(status: int, message: str) -> NoReturn:
    """End the request with an error."""
    raise Refusal(status, message)


def _user(config: Config) -> User:
    """Return who asks, by the header or the query's token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token if scheme == "Bearer" else request.args.get("access_token", "")
    return config.tokens.get(token) or refuse(401, "Unauthorized")


def _query() -> dict[str, str]:
    """Return the query; of a repeated name the first value."""
    return request.args.to_dict()


def _query_number(key: str) -> int:
    text = request.args.get(key, "")
    return int(text) if text.isdecimal() else 0


def _number(text: str, function: str) -> int:
    if not text.isdecimal():
        refuse(400, f'strconv.{function}: parsing "{text}": invalid syntax')
    return int(text)


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        refuse(400, f"the body is no JSON: {error}")
    return found if isinstance(found, dict) else refuse(400, "the body is no JSON object")


def _events(live: LiveLog | None) -> Iterator[str]:
    yield ": ping\n\n"
    for line in live.follow(ping=PING) if live else ():
        yield ": ping\n\n" if line is None else f"data: {json.dumps(line.json())}\n\n\n"
    yield "event: error\ndata: eof\n\n"


def _no_store(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", NO_STORE)
    return response


def _unknown(error: HTTPException) -> Response:
    if error.code in (404, 405) and not request.path.startswith("/api/"):
        text = f"the stand-in does not model {request.method} {request.path}\n"
        return Response(text, 501, mimetype="text/plain")
    return Response("404 page not found\n", 404, mimetype="text/plain")
