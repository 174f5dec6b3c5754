"""A real Gitea on loopback: its process, and its API as the sandbox and the tests use it."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from sandbox.forge import gitea_build, gitea_config
from sandbox.host.daemon import Daemon
from sandbox.host.shell import SetupError, run

PUSH_TIMEOUT = 30.0  # seconds
NOBODY = 65534  # numeric id; Gitea refuses to run as root
ADMIN = "ops"
BOT_SCOPES = ("write:issue", "write:repository", "read:organization", "read:user")


@dataclass
class Gitea:
    """One Gitea with an administrator.

    Attributes:
        folder: of its data.
        port: on loopback.
        tied: see `Daemon`.
        pages: its static folder; the one without the front end if None.
    """

    folder: Path
    port: int
    tied: bool = False
    pages: Path | None = None
    _tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def daemon(self) -> Daemon:
        """Its process."""
        return Daemon("gitea", self.folder, self.tied)

    @property
    def _config(self) -> Path:
        return self.folder / "app.ini"

    # -- start and stop

    def start(self) -> None:
        """Start it; the first time create its database and the administrator."""
        if os.geteuid() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.chown(self.folder, NOBODY, NOBODY)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_config()
        words: list[str | Path] = [gitea_build.program(), "web", "--config", self._config]
        self.daemon.start(words, self._env(), user=self._user())
        self.daemon.wait_until_up(f"{self.url}/api/v1/version")
        if ADMIN not in self.passwords():
            self._create_admin()

    def stop(self) -> None:
        """Stop it."""
        self.daemon.stop()

    @staticmethod
    def _user() -> int | None:
        return NOBODY if os.geteuid() == 0 else None

    def _env(self) -> dict[str, str]:
        path = os.environ.get("PATH", "/usr/bin:/bin")
        return {"PATH": path, "HOME": str(self.folder), "GITEA_WORK_DIR": str(self.folder)}

    def _write_config(self) -> None:
        pages = self.pages or gitea_build.static()
        if self._config.exists():
            kept = self._config.read_text()
            line = f"STATIC_ROOT_PATH = {pages}"
            self._config.write_text(re.sub(r"(?m)^STATIC_ROOT_PATH = .*$", line, kept))
            return
        whoami = ["id", "-un", str(self._user())] if self._user() else ["id", "-un"]
        sections = gitea_config.sections(
            self.folder, self.url, self.port, run(whoami).strip(), pages
        )
        lines = [f"{key} = {value}" for key, value in sections.pop("").items()]
        for name, values in sections.items():
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in values.items())]
        self._config.write_text("\n".join(lines) + "\n")
        self._config.chmod(0o600)
        if self._user():
            os.chown(self._config, NOBODY, NOBODY)

    def _create_admin(self) -> None:
        password = secrets.token_urlsafe(12)
        words = [
            gitea_build.program(),
            "admin",
            "user",
            "create",
            "--config",
            self._config,
            "--admin",
        ]
        words += ["--username", ADMIN, "--password", password, "--email", f"{ADMIN}@example.com"]
        words += ["--must-change-password=false"]
        user = self._user()
        done = subprocess.run(
            [str(word) for word in words],
            env=self._env(),
            user=user,
            group=user,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise SetupError(f"cannot create Gitea's administrator: {done.stderr or done.stdout}")
        self._remember(ADMIN, password)

    # -- users

    def passwords(self) -> dict[str, str]:
        """Return the passwords of all users."""
        path = self.folder / "people.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _remember(self, name: str, password: str) -> None:
        path = self.folder / "people.json"
        text = json.dumps({**self.passwords(), name: password})
        path.touch(mode=0o600)
        path.write_text(text)

    def ensure_user(self, name: str) -> None:
        """Make sure that a user exists."""
        if name in self.passwords():
            return
        password = secrets.token_urlsafe(12)
        body = {"username": name, "email": f"{name}@example.com", "password": password}
        self.call("POST", "/admin/users", {**body, "must_change_password": False})
        self._remember(name, password)

    def token(self, name: str, scopes: tuple[str, ...] = ("all",)) -> str:
        """Return a token of a user, created once for each set of scopes."""
        key = f"{name} {' '.join(scopes)}"
        if key not in self._tokens:
            response = requests.post(
                f"{self.url}/api/v1/users/{name}/tokens",
                auth=(name, self.passwords()[name]),
                json={"name": secrets.token_hex(6), "scopes": list(scopes)},
                timeout=30,
            )
            response.raise_for_status()
            self._tokens[key] = str(response.json()["sha1"])
        return self._tokens[key]

    def call(
        self, method: str, path: str, body: object = None, *, user: str = ADMIN, ok: int = 299
    ) -> Any:
        """Call the API as a user; return the JSON of the response, None if it is empty or an error.

        Args:
            method: HTTP method.
            path: below `/api/v1`.
            body: sent as JSON.
            user: whose token is used.
            ok: highest HTTP status that is not an error.

        Raises:
            SetupError: the HTTP status is above `ok`.
        """
        headers = {"Authorization": f"token {self.token(user)}"}
        url = f"{self.url}/api/v1{path}"
        response = requests.request(method, url, json=body, headers=headers, timeout=60)
        status = response.status_code
        if status > ok:
            raise SetupError(f"{method} {path} as {user}: HTTP {status} {response.text[:300]}")
        return response.json() if response.content and status < 300 else None

    # -- organisations and repositories

    def create_organisation(self, name: str, teams: Mapping[str, tuple[str, ...]]) -> None:
        """Create an organisation.

        Args:
            name: of the organisation.
            teams: members by permission, such as {"write": ("alice",)}.
        """
        self.call("POST", "/orgs", {"username": name, "visibility": "public"})
        for permission, members in teams.items():
            units = dict.fromkeys(("repo.code", "repo.issues", "repo.pulls"), permission)
            body = {"name": f"{permission}rs", "permission": permission, "units_map": units}
            team = self.call(
                "POST", f"/orgs/{name}/teams", {**body, "includes_all_repositories": True}
            )
            for member in members:
                self.call("PUT", f"/teams/{team['id']}/members/{member}")

    def create_repository(self, org: str, name: str) -> None:
        """Create an empty public repository of an organisation."""
        body = {"name": name, "default_branch": "main", "private": False}
        self.call("POST", f"/orgs/{org}/repos", body)

    def push(self, source: Path, repo: str, *refs: str, user: str = ADMIN) -> None:
        """Force-push branches, and options such as `--tags`, of a local repository.

        Gitea processes a push after it has finished, so this waits until the API shows the branches.
        """
        header = base64.b64encode(f"{user}:{self.token(user)}".encode()).decode()
        with tempfile.NamedTemporaryFile("w", suffix=".gitconfig") as config:
            config.write(f"[http]\n\textraHeader = Authorization: Basic {header}\n")
            config.flush()
            env = {**os.environ, "GIT_CONFIG_GLOBAL": config.name, "GIT_TERMINAL_PROMPT": "0"}
            url = f"{self.url}/{repo}.git"
            run(["git", "-C", source, "push", "--quiet", "--force", url, *refs], env=env)
        for ref in refs:
            if not ref.startswith("-"):
                local, _, remote = ref.partition(":")
                sha = run(["git", "-C", source, "rev-parse", local]).strip()
                branch = (remote or local).removeprefix("refs/heads/")
                self._await_branch(repo, branch, sha)

    def _await_branch(self, repo: str, branch: str, sha: str) -> None:
        end = time.monotonic() + PUSH_TIMEOUT
        while True:
            found = self.call("GET", f"/repos/{repo}/branches/{branch}", ok=500)
            if found and found["commit"]["id"] == sha:
                return
            if time.monotonic() > end:
                raise SetupError(
                    f"Gitea does not show {branch} of {repo} at {sha} after the push; "
                    f"see {self.daemon.log}"
                )
            time.sleep(0.05)

    def commit(self, repo: str, branch: str, path: str, text: str, *, user: str = ADMIN) -> str:
        """Write one file on a branch, creating the branch if it is missing; return the commit."""
        url = f"/repos/{repo}/contents/{path}"
        exists = self.call("GET", f"/repos/{repo}/branches/{branch}", user=user, ok=404)
        old = self.call("GET", f"{url}?ref={branch if exists else 'main'}", user=user, ok=404)
        content = base64.b64encode(text.encode()).decode()
        body: dict[str, str] = {"content": content, "message": f"{path} changes"}
        body |= {"branch": branch} if exists or branch == "main" else {"new_branch": branch}
        if old:
            made = self.call("PUT", url, {**body, "sha": old["sha"]}, user=user)
        else:
            made = self.call("POST", url, body, user=user)
        return str(made["commit"]["sha"])

    def fork(self, repo: str, user: str) -> str:
        """Fork a repository for a user; return the fork's name."""
        self.call("POST", f"/repos/{repo}/forks", {}, user=user)
        return f"{user}/{repo.partition('/')[2]}"

    def find(self, path: str) -> Any:
        """Return what the API has at a path, None if it has nothing."""
        return self.call("GET", path, ok=404)

    def open_pull_request(self, repo: str, head: str, title: str, *, user: str = ADMIN) -> int:
        """Open a pull request onto main; return its number."""
        body = {"head": head, "base": "main", "title": title}
        return int(self.call("POST", f"/repos/{repo}/pulls", body, user=user)["number"])

    def add_webhook(self, org: str, url: str, secret: str) -> None:
        """Add a webhook for the comments and pull requests of an organisation."""
        config = {"url": url, "content_type": "json", "secret": secret}
        events = ["pull_request_comment", "pull_request"]
        body = {"type": "gitea", "active": True, "events": events, "config": config}
        self.call("POST", f"/orgs/{org}/hooks", body)

    # -- comments and statuses

    def comment(self, repo: str, pr: int, body: str, *, user: str) -> int:
        """Write a comment; return its id."""
        path = f"/repos/{repo}/issues/{pr}/comments"
        return int(self.call("POST", path, {"body": body}, user=user)["id"])

    def comments(self, repo: str, pr: int) -> list[dict[str, Any]]:
        """Return all comments of a pull request."""
        return list(self.call("GET", f"/repos/{repo}/issues/{pr}/comments"))

    def reactions(self, repo: str, comment: int) -> list[str]:
        """Return the reactions to a comment."""
        found = self.call("GET", f"/repos/{repo}/issues/comments/{comment}/reactions") or []
        return [str(row["content"]) for row in found]

    def statuses(self, repo: str, sha: str) -> dict[str, tuple[str, str]]:
        """Return state and description of each context's newest commit status."""
        found = self.call("GET", f"/repos/{repo}/commits/{sha}/status")["statuses"] or []
        return {row["context"]: (row["status"], row["description"]) for row in found}
