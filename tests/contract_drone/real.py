"""Real servers on loopback: Gitea, the Drone server and its exec runner, set up from nothing.

Needs the executables DRONE_SERVER_BIN, DRONE_RUNNER_BIN and GITEA_BIN, and in GITEA_STATIC the
folder with Gitea's templates and options.
"""

from __future__ import annotations

import getpass
import html
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.contract_drone.place import REPO, SLUG, Place, free_port
from tests.contract_drone.poll import living, until

NEEDED = ("DRONE_SERVER_BIN", "DRONE_RUNNER_BIN", "GITEA_BIN", "GITEA_STATIC")
ADMIN = "ops"

APP_INI = """\
RUN_MODE = prod
RUN_USER = {user}
WORK_PATH = {home}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = {static}
APP_DATA_PATH = {home}/data
[database]
DB_TYPE = sqlite3
PATH = {home}/gitea.db
[repository]
ROOT = {home}/repos
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
SECRET_KEY = {key}
INTERNAL_TOKEN = {key}
[oauth2]
JWT_SECRET = {jwt}
[webhook]
ALLOWED_HOST_LIST = *
[actions]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
"""


def there() -> bool:
    """Say whether the environment names real servers."""
    return all(os.environ.get(name) for name in NEEDED)


class Real(Place):
    """Gitea, Drone server and runner, each a process of our own."""

    real = True

    def __init__(self, folder: Path, *, capacity: int = 8) -> None:
        super().__init__(folder)
        self.forge = f"http://127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.hook = ""
        self._capacity = capacity
        self._password = secrets.token_urlsafe(12)
        self._rpc = secrets.token_hex(16)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._drone: dict[str, str] = {}
        self.tokens = {ADMIN: secrets.token_hex(16)}
        self.remote = self.forge.replace("//", f"//{ADMIN}:{self._password}@") + f"/{SLUG}.git"

    def set_up(self) -> None:
        """Make users, the repository and the log-in, once."""
        self._start_forge()
        self._forge("POST", "/orgs", {"username": "ci", "visibility": "public"})
        self._forge("POST", "/orgs/ci/repos", {"name": "cc-ci", "default_branch": "main"})
        app = self._forge(
            "POST",
            "/user/applications/oauth2",
            {"name": "d", "redirect_uris": [self.url + "/login"], "confidential_client": True},
        )
        self._drone = {
            "DRONE_GITEA_CLIENT_ID": app["client_id"],
            "DRONE_GITEA_CLIENT_SECRET": app["client_secret"],
        }
        self._start_server()
        self._log_in()
        self._users()
        self.push("main", None)
        self._start_runner()

    def start(self) -> None:
        """Start server and runner."""
        self._start_server()
        self._start_runner()

    def stop(self) -> None:
        """End the three processes; what a runner still waits for is left behind."""
        for name in ("runner", "drone", "gitea"):
            self._end(name, hard=name == "runner")

    def restart(self) -> None:
        """Restart the Drone server."""
        self._end("drone")
        self._start_server()

    def crash_runner(self) -> None:
        """Kill the runner and start another."""
        self._end("runner", hard=True)
        self._start_runner()

    def runner_root(self) -> Path:
        """Return the runner's root."""
        return self.folder / "runner"

    def _spawn(self, name: str, argv: list[str], env: Mapping[str, str]) -> None:
        base = {key: os.environ[key] for key in ("PATH", "USER") if key in os.environ}
        with (self.folder / f"{name}.log").open("ab") as out:
            self._running[name] = subprocess.Popen(
                argv,
                env={**base, "HOME": str(self.folder), **env},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _end(self, name: str, *, hard: bool = False) -> None:
        process = self._running.pop(name, None)
        if process is None or not living(process.pid):
            return
        process.send_signal(signal.SIGKILL if hard else signal.SIGTERM)
        process.wait(30)

    def _answers(self, url: str) -> None:
        def look() -> bool:
            try:
                return requests.get(url, timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        until(f"an answer from {url}", look, within=60)

    def _start_forge(self) -> None:
        home = self.folder / "gitea"
        home.mkdir(parents=True)
        jwt = secrets.token_urlsafe(32)
        ini = home / "app.ini"
        port = self.forge.rsplit(":", 1)[1]
        values = {
            "home": home,
            "port": port,
            "url": self.forge,
            "key": secrets.token_hex(32),
            "user": getpass.getuser(),
        }
        ini.write_text(APP_INI.format(**values, jwt=jwt, static=os.environ["GITEA_STATIC"]))
        binary, config = os.environ["GITEA_BIN"], ["--config", str(ini)]
        self._spawn("gitea", [binary, "web", *config], {"GITEA_WORK_DIR": str(home)})
        self._answers(self.forge + "/api/v1/version")
        words = ["admin", "user", "create", *config, "--username", ADMIN, "--admin"]
        words += ["--password", self._password, "--email", f"{ADMIN}@bench.test"]
        subprocess.run(
            [binary, *words, "--must-change-password=false"],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "GITEA_WORK_DIR": str(home)},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _forge(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = requests.request(
            method,
            f"{self.forge}/api/v1{path}",
            auth=(ADMIN, self._password),
            json=dict(body),
            timeout=30,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def _start_server(self) -> None:
        address = self.url.removeprefix("http://")
        own = {
            "DRONE_GITEA_SERVER": self.forge,
            "DRONE_RPC_SECRET": self._rpc,
            "DRONE_SERVER_HOST": address,
            "DRONE_SERVER_PROTO": "http",
            "DRONE_SERVER_PORT": address,
            "DRONE_DATABASE_DRIVER": "sqlite3",
            "DRONE_DATABASE_DATASOURCE": str(self.folder / "drone.sqlite"),
            "DRONE_DATADOG_ENABLED": "false",
            "DRONE_USER_CREATE": f"username:{ADMIN},admin:true,token:{self.tokens[ADMIN]}",
        }
        self._spawn("drone", [os.environ["DRONE_SERVER_BIN"]], {**own, **self._drone})
        self._answers(self.url + "/healthz")

    def _start_runner(self) -> None:
        self.runner_root().mkdir(exist_ok=True)
        env = {
            "DRONE_RPC_HOST": self.url.removeprefix("http://"),
            "DRONE_RPC_PROTO": "http",
            "DRONE_RPC_SECRET": self._rpc,
            "DRONE_RUNNER_CAPACITY": str(self._capacity),
            "DRONE_RUNNER_NAME": "bench-runner",
            "DRONE_RUNNER_ROOT": str(self.runner_root()),
            "DRONE_RUNNER_ENVIRON": "FROM_RUNNER:yes",
            "DRONE_HTTP_BIND": f"127.0.0.1:{free_port()}",
            "DRONE_UI_DISABLE": "true",
        }
        self._spawn("runner", [os.environ["DRONE_RUNNER_BIN"], "daemon"], env)

    def _log_in(self) -> None:
        """Walk through the browser's log-in, so that Drone holds the forge's token of the admin."""
        session = requests.Session()
        page = session.get(self.url + "/login", timeout=30)
        if "/user/login" in page.url:
            form = {"user_name": ADMIN, "password": self._password, **_hidden(page.text)}
            page = session.post(page.url, data=form, timeout=30)
        if "/login/oauth/authorize" in page.url:
            form = {**_hidden(page.text), "granted": "true"}
            page = session.post(self.forge + "/login/oauth/grant", data=form, timeout=30)
        assert page.url.startswith(self.url) and "error" not in page.url, page.url

    def _users(self) -> None:
        def ask(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
            answer = self.call(method, path, user=ADMIN, json=body)
            assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
            return answer.json() if answer.content else None

        for login, admin in (("bridge", True), ("plainbot", False)):
            made = ask("POST", "/api/users", {"login": login, "machine": True, "admin": admin})
            self.tokens = {**self.tokens, login: made["token"]}
        ask("POST", "/api/user/repos?async=false")
        ask("POST", REPO)
        hook = self._forge("GET", f"/repos/{SLUG}/hooks", {})[0]
        self.hook = hook["config"]["url"]


def _hidden(page: str) -> dict[str, str]:
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields}
