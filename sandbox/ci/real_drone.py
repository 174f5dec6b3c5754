"""The real Drone, from given executables: its server and exec runner, set up from nothing."""

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
HTTP_TIMEOUT = 30.0  # seconds


def is_configured() -> bool:
    """Return True if the environment names both executables.

    Raises:
        SetupError: it names only one of them, or a file that cannot be executed.
    """
    given = {name: os.environ.get(name, "") for name in (SERVER, RUNNER)}
    if not any(given.values()):
        return False
    for name, path in given.items():
        if not (path and os.access(path, os.X_OK)):
            raise SetupError(
                f"{name} is '{path}', which is not an executable file; "
                f"set both {SERVER} and {RUNNER}, or neither for the stand-in"
            )
    return True


@dataclass
class RealDrone:
    """Drone's server and runner. The CI's repository must exist at the forge before the first start.

    Attributes:
        folder: of its data.
        port: of the server, on loopback.
        forge: the Gitea with the CI's repository.
        environ: variables of the steps, besides those of the build.
        capacity: builds that the runner runs at the same time.
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
        """The file with the bridge's token, of a machine user with admin rights."""
        return self.folder / "drone_token"

    @property
    def daemon(self) -> Daemon:
        """The server's process."""
        return Daemon("drone", self.folder, self.forge.tied)

    @property
    def worker(self) -> Daemon:
        """The runner's process, which runs the steps."""
        return Daemon("runner", self.folder, self.forge.tied)

    @property
    def runner_root(self) -> Path:
        """The folder of the runner's workspaces."""
        return self.folder / "runner"

    # -- start and stop

    def start(self) -> None:
        """Start server and runner; the first time create the users and activate the CI's repository."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start_server()
        if not self.token.exists():
            self._log_in_admin()
            self._activate()
            secret_file(
                self.folder, self.token.name, self.create_machine_user("bridge", admin=True)
            )
        self.start_runner()

    def stop(self) -> None:
        """Stop server and runner without waiting for running steps."""
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
        self.daemon.wait_until_up(f"{self.url}/healthz")

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
        """Write the variables of the steps; the runner takes a value in single quotes literally."""
        for name, value in self.environ.items():
            if "'" in value or "\n" in value:
                raise SetupError(
                    f"cannot pass '{name}' to steps: its value has a quote or a line break"
                )
        path = self.folder / "runner.env"
        path.write_text("".join(f"{name}='{value}'\n" for name, value in self.environ.items()))
        return path

    # -- set-up

    def _secret(self, name: str) -> str:
        return secret_file(self.folder, name).read_text().strip()

    @property
    def _admin_token(self) -> str:
        return self._secret("drone_admin_token")

    def _application(self) -> dict[str, str]:
        """Return Drone's OAuth application at the forge, created once."""
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

    def _log_in_admin(self) -> None:
        """Log in as a browser does, so that Drone gets a token of the forge's administrator."""
        session, password = requests.Session(), self.forge.passwords()[ADMIN]
        page = session.get(f"{self.url}/login", timeout=HTTP_TIMEOUT)
        if "/user/login" in page.url:
            form = {"user_name": ADMIN, "password": password, **_hidden(page.text)}
            page = session.post(page.url, data=form, timeout=HTTP_TIMEOUT)
        if "/login/oauth/authorize" in page.url:
            form = {**_hidden(page.text), "granted": "true"}
            page = session.post(
                f"{self.forge.url}/login/oauth/grant", data=form, timeout=HTTP_TIMEOUT
            )
        if not page.url.startswith(self.url) or "error" in page.url:
            raise SetupError(
                f"logging in to Drone through the forge failed at {page.url}; see {self.daemon.log}"
            )

    def create_machine_user(self, login: str, *, admin: bool) -> str:
        """Create a machine user; return its token."""
        body = {"login": login, "machine": True, "admin": admin}
        return str(self.call("POST", "/api/users", body)["token"])

    def _activate(self) -> None:
        self.call("POST", "/api/user/repos?async=false")
        self.call("POST", f"/api/repos/{CI_REPO}")

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call Drone's API as its administrator; return the JSON of the response.

        Raises:
            SetupError: the HTTP status is not a success.
        """
        headers = {"Authorization": f"Bearer {self._admin_token}"}
        url = f"{self.url}{path}"
        response = requests.request(method, url, json=body, headers=headers, timeout=HTTP_TIMEOUT)
        if not response.ok:
            raise SetupError(
                f"{method} {path} at Drone: HTTP {response.status_code} {response.text[:300]}"
            )
        return response.json() if response.content else None


def _hidden(page: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields}
