"""Client of the Drone server. Facts were measured on server 2.25 with the exec runner."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.clients.http import CallError, Http

CREATE_TIMEOUT = (
    60.0  # seconds; without a `.drone.yml` the server tries for 45 s before it responds
)
LOG_TIMEOUT = 60.0  # seconds
STREAM_TIMEOUT = 120.0  # seconds without a byte; the server sends a ping every 30 s
DONE = frozenset({"success", "skipped", "declined", "failure", "killed", "error"})


class NotStarted(Exception):
    """Drone refused to start a build, for a reason that an operator has to fix."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a build's only pipeline. `stage` and `number` are its position in Drone's URLs."""

    stage: int
    number: int
    name: str
    status: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Build:
    """A build. Times are unix seconds, 0 if it was not started or not finished yet."""

    number: int
    status: str
    event: str
    error: str
    params: Mapping[str, str]
    started: float
    finished: float
    steps: tuple[Step, ...] = field(default=())

    @property
    def done(self) -> bool:
        """True if the build has finished."""
        return self.status in DONE

    @property
    def work(self) -> Step | None:
        """The step that runs pytest: the first after the clone."""
        return next((step for step in self.steps if step.name != "clone"), None)

    @property
    def failed_clone(self) -> bool:
        """True if the repository of the CI could not be cloned."""
        return any(step.name == "clone" and step.status == "failure" for step in self.steps)


class Drone:
    """One repository of a Drone server."""

    def __init__(self, url: str, token: str, repo: str, branch: str) -> None:
        self.repo = repo
        self._branch = branch
        self._http = Http("Drone", url, {"Authorization": f"Bearer {token}"})

    def create(self, parameters: Mapping[str, str]) -> Build:
        """Start a custom build of the trusted branch with exactly these parameters.

        Raises:
            NotStarted: Drone refused; the text says what an operator has to fix.
            CallError: Drone did not answer; it may have created the build all the same.
        """
        query = {"branch": self._branch, **parameters}
        path = f"/api/repos/{self.repo}/builds"
        try:
            body = self._http.call("POST", path, params=query, timeout=CREATE_TIMEOUT).body
        except CallError as error:
            raise self._create_error(error) from error
        if body is None:
            raise NotStarted(self._why_nothing())
        build = _build(body)
        if build.status == "error":
            raise NotStarted(f"the pipeline file is invalid: {build.error}")
        return build

    def _create_error(self, error: CallError) -> Exception:
        """Return the error to raise: NotStarted for what an operator has to fix, else a CallError."""
        if error.status == 500 and '"Not Found"' in str(error):
            return NotStarted(f"there is no .drone.yml on branch {self._branch} of {self.repo}")
        if error.kind == "denied":
            return NotStarted("Drone does not accept the bridge's token")
        if error.kind == "missing" and "dial tcp" in str(error):
            return CallError("server", f"Drone cannot reach the forge: {error}")
        if error.kind == "missing":
            return NotStarted(
                f"Drone has no repository {self.repo} with a branch {self._branch}, "
                "or the bridge's user is not a Drone admin"
            )
        return error

    def _why_nothing(self) -> str:
        """Return why Drone started nothing and responded with null."""
        if not self.is_active():
            return f"{self.repo} is not activated in Drone"
        return (
            "no pipeline of .drone.yml is for custom events, "
            f"or the owner of {self.repo} is inactive in Drone"
        )

    def user(self) -> tuple[str, bool]:
        """Return the login of the token's user, and True if it is an admin."""
        found = self._http.call("GET", "/api/user").body
        if not isinstance(found, dict) or "login" not in found:
            raise CallError("garbled", "Drone's response is not a user")
        return str(found["login"]), bool(found.get("admin"))

    def is_active(self) -> bool:
        """Return True if the repository is activated in Drone."""
        found = self._http.call("GET", f"/api/repos/{self.repo}").body
        return isinstance(found, dict) and bool(found.get("active"))

    def get(self, number: int) -> Build:
        """Return one build."""
        return _build(self._http.call("GET", f"/api/repos/{self.repo}/builds/{number}").body)

    def latest(self, count: int = 50) -> list[Build]:
        """Return the latest builds, latest first, without their steps."""
        params = {"page": "1", "per_page": str(count)}
        rows = self._http.call("GET", f"/api/repos/{self.repo}/builds", params=params).body
        if not isinstance(rows, list):
            raise CallError("garbled", "Drone's response is not a list of builds")
        return [_build(row) for row in rows]

    def cancel(self, number: int) -> None:
        """Cancel a build. It is `killed` immediately; its process may not notice and checks for itself."""
        self._http.call("DELETE", f"/api/repos/{self.repo}/builds/{number}")

    def log(self, number: int, step: Step) -> str:
        """Return the log of a finished step; "missing" until the runner has uploaded it."""
        path = f"/api/repos/{self.repo}/builds/{number}/logs/{step.stage}/{step.number}"
        rows = self._http.call("GET", path, timeout=LOG_TIMEOUT).body
        return "".join(_out(row) for row in rows) if isinstance(rows, list) else ""

    def follow(self, number: int, step: Step) -> Iterator[str]:
        """Yield the log of a running step from its beginning, in pieces that may split a line.

        An empty piece is a ping. The stream of a cancelled step may never end (seen about one time
        in three), so the reader has to check at each ping whether the build has finished.
        """
        path = f"/api/stream/{self.repo}/{number}/{step.stage}/{step.number}"
        for line in self._http.stream(path, silence=STREAM_TIMEOUT):
            if line == "data: eof":
                return
            if line.startswith(":"):
                yield ""
            elif line.startswith("data: "):
                try:
                    yield _out(json.loads(line.removeprefix("data: ")))
                except ValueError:
                    continue


def _out(row: Any) -> str:
    return str(row.get("out", "")) if isinstance(row, dict) else ""


def _build(row: Any) -> Build:
    try:
        stages = row.get("stages") or []
        steps = tuple(_step(stage, step) for stage in stages for step in stage.get("steps") or [])
        errors = [str(part.get("error") or "") for part in (row, *stages)]
        return Build(
            number=int(row["number"]),
            status=str(row["status"]),
            event=str(row.get("event", "")),
            error=next((text for text in errors if text), ""),
            params={str(k): str(v) for k, v in (row.get("params") or {}).items()},
            started=float(row.get("started") or 0),
            finished=float(row.get("finished") or 0),
            steps=steps,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CallError("garbled", f"Drone's response is not a build: {error!r}") from error


def _step(stage: Mapping[str, Any], step: Mapping[str, Any]) -> Step:
    return Step(
        stage=int(stage["number"]),
        number=int(step["number"]),
        name=str(step["name"]),
        status=str(step["status"]),
        exit_code=int(step.get("exit_code") or 0),
    )
