"""The HTTP interface: Drone's addresses, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from sandbox.standins.drone import VERSION
from sandbox.standins.drone.config import Config, Repo
from sandbox.standins.drone.server.build_service import BuildService
from sandbox.standins.drone.server.forge import ForgeError
from sandbox.standins.drone.server.live_log import LiveLog
from sandbox.standins.drone.server.model import Build
from sandbox.standins.drone.server.request_data import (
    Refusal,
    check_signature,
    current_user,
    json_object,
    path_number,
    query,
    query_number,
    refuse,
)
from sandbox.standins.drone.server.responses import (
    event_stream,
    json_response,
    no_store,
    repo_json,
    unknown_address,
)
from sandbox.standins.drone.server.trigger import (
    BRANCH_PREFIX,
    NULL_SHA,
    MissingPipelineFile,
    Trigger,
)

NO_ROW = "sql: no rows in result set"
PAGE_SIZE = 25  # builds, unless the query says otherwise
MAX_PAGE_SIZE = 100


def create_app(builds: BuildService, trigger: Trigger) -> Flask:
    """Return the application."""
    app = Flask(__name__)
    api = Api(builds, trigger)
    repo, build = "/api/repos/<owner>/<name>", "/api/repos/<owner>/<name>/builds/<number>"
    routes: list[tuple[str, str, Callable[..., Response]]] = [
        ("GET", "/healthz", lambda: Response("OK", mimetype="text/plain")),
        ("GET", "/version", lambda: json_response({"version": VERSION})),
        ("GET", "/api/user", api.user),
        ("GET", repo, api.repo),
        ("PATCH", repo, api.change_repo),
        ("GET", f"{repo}/builds", api.list_builds),
        ("POST", f"{repo}/builds", api.create_build),
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
    app.register_error_handler(Refusal, lambda e: json_response({"message": str(e)}, e.status))
    app.register_error_handler(HTTPException, unknown_address)
    app.after_request(no_store)
    return app


@dataclass(frozen=True)
class Api:
    """One method for each address."""

    builds: BuildService
    trigger: Trigger

    def user(self) -> Response:
        """Respond with the user that the token belongs to."""
        user = current_user(self._config)
        return json_response(
            {"login": user.login, "machine": True, "admin": user.admin, "active": True}
        )

    def repo(self, owner: str, name: str) -> Response:
        """Respond with a repository."""
        return json_response(self._repo_json(self._repo(owner, name)))

    def change_repo(self, owner: str, name: str) -> Response:
        """Change the timeout, for which the stand-in accepts fractions of a minute as well."""
        repo = self._writable(owner, name)
        found = json_object(request.get_data())
        for key, value in found.items():
            if key != "timeout":
                refuse(400, f"the stand-in does not support changing '{key}'")
            if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
                refuse(400, f"'timeout' is {value!r}; it must be a number of minutes above 0")
            self.builds.store.set_timeout(repo.slug, value)
        return json_response(self._repo_json(repo))

    def list_builds(self, owner: str, name: str) -> Response:
        """Respond with a page of builds, newest first, without their stages."""
        found = self.builds.of_repo(self._repo(owner, name), request.args.get("branch", ""))
        page, size = max(query_number("page"), 1), query_number("per_page")
        size = min(size, MAX_PAGE_SIZE) if size > 0 else PAGE_SIZE
        part = found[(page - 1) * size : page * size]
        return json_response([self.builds.show(build, stages=False) for build in part])

    def create_build(self, owner: str, name: str) -> Response:
        """Create a build of the branch, commit and parameters in the query."""
        repo = self._writable(owner, name)
        return self._creation_response(
            lambda: self.trigger.custom(repo, current_user(self._config).login, query())
        )

    def latest(self, owner: str, name: str) -> Response:
        """Respond with the newest build of a branch."""
        repo = self._repo(owner, name)
        branch = request.args.get("branch") or repo.branch
        branch = request.args.get("ref", branch).removeprefix(BRANCH_PREFIX)
        found = self.builds.of_repo(repo, branch)
        return json_response(self.builds.show(found[0])) if found else refuse(404, NO_ROW)

    def build(self, owner: str, name: str, number: str) -> Response:
        """Respond with a build."""
        return json_response(self.builds.show(self._build(self._repo(owner, name), number)))

    def restart(self, owner: str, name: str, number: str) -> Response:
        """Create a build like an old one."""
        repo = self._writable(owner, name)
        old = self._build(repo, number)
        login = current_user(self._config).login
        return self._creation_response(lambda: self.trigger.restart(repo, login, old, query()))

    def cancel(self, owner: str, name: str, number: str) -> Response:
        """Cancel a build."""
        build = self._build(self._writable(owner, name), number)
        self.builds.cancel(build)
        return json_response(self.builds.show(build))

    def log(self, owner: str, name: str, number: str, stage: str, step: str) -> Response:
        """Respond with the log of a finished step."""
        build = self._build(self._repo(owner, name), number)
        text = self.builds.store.log(self._step(build, stage, step)[0])
        if text is None:
            refuse(404, NO_ROW)
        return Response(text + "\n", mimetype="application/json")

    def stream(self, owner: str, name: str, number: str, stage: str, step: str) -> Response:
        """Stream the log of a running step."""
        build = self._build(self._repo(owner, name), number)
        _, live = self._step(build, stage, step)
        return event_stream(live)

    def hook(self) -> Response:
        """Receive a delivery of the forge; a push may create a build."""
        raw = request.get_data()
        if request.headers.get("X-Gitea-Event") != "push":
            return Response("")
        found = json_object(raw)
        repo = self._config.repos.get((found.get("repository") or {}).get("full_name", ""))
        if repo is None:
            refuse(400, "Cannot find repository")
        check_signature(raw, self._config.hook_secret)
        if found.get("after", NULL_SHA) == NULL_SHA:
            return Response("")
        if not str(found.get("ref", "")).startswith(BRANCH_PREFIX):
            return json_response(None)
        return self._creation_response(lambda: self.trigger.push(repo, found))

    @property
    def _config(self) -> Config:
        return self.builds.config

    def _repo(self, owner: str, name: str) -> Repo:
        return self._config.repos.get(f"{owner}/{name}") or refuse(404, "Not Found")

    def _writable(self, owner: str, name: str) -> Repo:
        """Return a repository if the user may change it; for others it does not exist."""
        user = current_user(self._config)
        return self._repo(owner, name) if user.admin else refuse(404, "Not Found")

    def _build(self, repo: Repo, number: str) -> Build:
        found = self.builds.build(repo, path_number(number, "ParseInt"))
        return found or refuse(404, NO_ROW)

    def _step(self, build: Build, stage: str, step: str) -> tuple[int, LiveLog | None]:
        numbers = path_number(stage, "Atoi"), path_number(step, "Atoi")
        found = build.stage(numbers[0])
        found_step = found.step(numbers[1]) if found else None
        if found_step is None:
            refuse(404, NO_ROW)
        return found_step.id, self.builds.live_log(found_step)

    def _creation_response(self, create: Callable[[], Build | None]) -> Response:
        try:
            build = create()
        except ForgeError as error:
            refuse(404, str(error))
        except MissingPipelineFile:
            refuse(500, "Not Found")
        return json_response(build.made if build else None)

    def _repo_json(self, repo: Repo) -> dict[str, Any]:
        timeout_minutes, counter = self.builds.timeout_minutes(repo), self.builds.counter(repo)
        return repo_json(repo, timeout_minutes=timeout_minutes, counter=counter)
