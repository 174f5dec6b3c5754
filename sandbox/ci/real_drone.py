"""Drone itself, from executables that somebody has: its server and exec runner, set up from nothing."""

from __future__ import annotations

import html
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sandbox.forge.gitea import ADMIN, Gitea
from sandbox.host.daemon import Daemon
from sandbox.host.paths import CAPACITY, CI_REPO, PROGRAM_PATH
from sandbox.host.secret_file import secret_file
from sandbox.host.shell import SetupError

SERVER, RUNNER = "DRONE_SERVER_BIN", "DRONE_RUNNER_BIN"
TIMEOUT = 30.0  # seconds for one call


def there() -> bool:
    """Say whether the environment names both executables.

    Raises:
        SetupError: it names one of them, or a file that cannot be run.
    """
    given = {name: os.environ.get(name, "") for name in (SERVER, RUNNER)}
    if not any(given.values()):
        return False
    for name, path in given.items():
        if not (path and os.access(path, os.X_OK)):
            raise SetupError(
                f"{name} is '{path}', which is no program; "
                f"name both {SERVER} and {RUNNER}, or neither for the stand-in"
            )
    return True


@dataclass
class RealDrone:
    """Drone's server and runner. environ: what steps find besides the build's own.

    The CI's repository must be at the forge before the first start.
    """

    folder: Path
    port: int
    forge: Gitea
    environ: Mapping[str, str] = field(default_factory=dict)
    capacity: int = CAPACITY

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> Path:
        """The file with the bridge's token: a machine user's that is an admin."""
        return self.folder / "drone_token"

    @property
    def daemon(self) -> Daemon:
        """The server's process."""
        return Daemon("drone", self.folder, self.forge.tied)

    @property
    def worker(self) -> Daemon:
        """The process that runs the steps: the runner."""
        return Daemon("runner", self.folder, self.forge.tied)

    @property
    def runner_root(self) -> Path:
        """Where the runner keeps its workspaces."""
        return self.folder / "runner"

    # -- its life

    def start(self) -> None:
        """Start both; the first time make its users and activate the CI's repository."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_server()
        if not self.token.exists():
            self._log_in()
            self._activate()
            secret_file(self.folder, self.token.name, self.machine("bridge", admin=True))
        self.start_runner()

    def stop(self) -> None:
        """End both without waiting for the steps that run."""
        self.worker.stop(grace=1.0)
        self.daemon.stop()

    def start_server(self) -> None:
        """Start the server."""
        address = self.url.removeprefix("http://")
        application = self._application()
        env = {
            "DRONE_GITEA_SERVER": self.forge.url,
            "DRONE_GITEA_CLIENT_ID": application["client_id"],
            "DRONE_GITEA_CLIENT_SECRET": application["client_secret"],
            "DRONE_RPC_SECRET": self._secret("drone_rpc_secret"),
            "DRONE_SERVER_HOST": address,
            "DRONE_SERVER_PROTO": "http",
            "DRONE_SERVER_PORT": address,
            "DRONE_DATABASE_DRIVER": "sqlite3",
            "DRONE_DATABASE_DATASOURCE": str(self.folder / "drone.sqlite"),
            "DRONE_DATADOG_ENABLED": "false",
            "DRONE_USER_CREATE": f"username:{ADMIN},admin:true,token:{self._admin_token}",
        }
        self.daemon.start([os.environ[SERVER]], {**self._plain_environment(), **env})
        self.daemon.answers(f"{self.url}/healthz")

    def start_runner(self) -> None:
        """Start the runner."""
        self.runner_root.mkdir(exist_ok=True)
        env = {
            "DRONE_RPC_HOST": self.url.removeprefix("http://"),
            "DRONE_RPC_PROTO": "http",
            "DRONE_RPC_SECRET": self._secret("drone_rpc_secret"),
            "DRONE_RUNNER_CAPACITY": str(self.capacity),
            "DRONE_RUNNER_NAME": "sandbox-runner",
            "DRONE_RUNNER_ROOT": str(self.runner_root),
            "DRONE_RUNNER_ENVFILE": str(self._environment_file()),
            "DRONE_HTTP_BIND": "127.0.0.1:0",
            "DRONE_UI_DISABLE": "true",
        }
        self.worker.start([os.environ[RUNNER], "daemon"], {**self._plain_environment(), **env})

    def _plain_environment(self) -> dict[str, str]:
        return {"PATH": PROGRAM_PATH, "USER": "root", "HOME": str(self.folder)}

    def _environment_file(self) -> Path:
        """Write what steps find; in single quotes the runner takes a value as it is."""
        for name, value in self.environ.items():
            if "'" in value or "\n" in value:
                raise SetupError(f"the runner cannot give '{name}' to steps: it has a quote in it")
        path = self.folder / "runner.env"
        path.write_text("".join(f"{name}='{value}'\n" for name, value in self.environ.items()))
        return path

    # -- its set-up

    def _secret(self, name: str) -> str:
        return secret_file(self.folder, name).read_text().strip()

    @property
    def _admin_token(self) -> str:
        return self._secret("drone_admin_token")

    def _application(self) -> dict[str, str]:
        """Return what the forge knows Drone by, made once."""
        path = self.folder / "application.json"
        if not path.exists():
            body = {
                "name": "Drone",
                "redirect_uris": [f"{self.url}/login"],
                "confidential_client": True,
            }
            made = self.forge.call("POST", "/user/applications/oauth2", body)
            kept = {key: made[key] for key in ("client_id", "client_secret")}
            path.touch(mode=0o600)
            path.write_text(json.dumps(kept))
        return dict(json.loads(path.read_text()))

    def _log_in(self) -> None:
        """Walk through the browser's log-in, so that Drone holds a token of the forge's admin."""
        session, password = requests.Session(), self.forge.passwords()[ADMIN]
        page = session.get(f"{self.url}/login", timeout=TIMEOUT)
        if "/user/login" in page.url:
            form = {"user_name": ADMIN, "password": password, **_hidden(page.text)}
            page = session.post(page.url, data=form, timeout=TIMEOUT)
        if "/login/oauth/authorize" in page.url:
            form = {**_hidden(page.text), "granted": "true"}
            page = session.post(f"{self.forge.url}/login/oauth/grant", data=form, timeout=TIMEOUT)
        if not page.url.startswith(self.url) or "error" in page.url:
            raise SetupError(f"the log-in of Drone at the forge ended at {page.url}")

    def machine(self, login: str, *, admin: bool) -> str:
        """Make a machine user; return its token."""
        body = {"login": login, "machine": True, "admin": admin}
        return str(self.ask("POST", "/api/users", body)["token"])

    def _activate(self) -> None:
        self.ask("POST", "/api/user/repos?async=false")
        self.ask("POST", f"/api/repos/{CI_REPO}")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Call Drone's API as its administrator; return the answer's JSON.

        Raises:
            SetupError: it refused.
        """
        headers = {"Authorization": f"Bearer {self._admin_token}"}
        url = f"{self.url}{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT)
        if not answer.ok:
            raise SetupError(f"{method} {path} at Drone: {answer.status_code} {answer.text[:300]}")
        return answer.json() if answer.content else None


def _hidden(page: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields}
