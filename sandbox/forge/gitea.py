"""A real Gitea on loopback: built once from its Go module, its data in a folder of its own."""

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
NOBODY = 65534  # Gitea refuses to run as root
ADMIN = "ops"
BOT_SCOPES = ("write:issue", "write:repository", "read:organization", "read:user")


@dataclass
class Gitea:
    """One Gitea with an administrator.

    folder: its data; port: on loopback; tied: see `Daemon`; pages: its static folder, else the plain one.
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

    # -- its life

    def start(self) -> None:
        """Start it; the first time make its database and the administrator."""
        if os.geteuid() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            os.chown(self.folder, NOBODY, NOBODY)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_config()
        words = [gitea_build.program(), "web", "--config", self._config]
        self.daemon.start(words, self._env(), user=self._user())
        self.daemon.answers(f"{self.url}/api/v1/version")
        if ADMIN not in self.passwords():
            self._make_admin()

    def stop(self) -> None:
        """End it."""
        self.daemon.stop()

    def pause(self) -> None:
        """Kill it, as a crash would; `start` brings it back."""
        self.daemon.kill()

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

    def _make_admin(self) -> None:
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
        rights = {} if self._user() is None else {"user": NOBODY, "group": NOBODY}
        done = subprocess.run(  # type: ignore[call-overload]
            [str(w) for w in words], env=self._env(), capture_output=True, text=True, **rights
        )
        if done.returncode != 0:
            raise SetupError(f"cannot make Gitea's administrator: {done.stderr or done.stdout}")
        self._remember(ADMIN, password)

    # -- people

    def passwords(self) -> dict[str, str]:
        """Return the passwords of all people."""
        path = self.folder / "people.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def _remember(self, name: str, password: str) -> None:
        path = self.folder / "people.json"
        text = json.dumps({**self.passwords(), name: password})
        path.touch(mode=0o600)
        path.write_text(text)

    def person(self, name: str) -> None:
        """Make sure that a person has an account."""
        if name in self.passwords():
            return
        password = secrets.token_urlsafe(12)
        body = {"username": name, "email": f"{name}@example.com", "password": password}
        self.call("POST", "/admin/users", {**body, "must_change_password": False})
        self._remember(name, password)

    def token(self, name: str, scopes: tuple[str, ...] = ("all",)) -> str:
        """Return a token of a person, made once for each set of scopes."""
        key = f"{name} {' '.join(scopes)}"
        if key not in self._tokens:
            answer = requests.post(
                f"{self.url}/api/v1/users/{name}/tokens",
                auth=(name, self.passwords()[name]),
                json={"name": secrets.token_hex(6), "scopes": list(scopes)},
                timeout=30,
            )
            answer.raise_for_status()
            self._tokens[key] = str(answer.json()["sha1"])
        return self._tokens[key]

    def call(
        self, method: str, path: str, body: object = None, *, person: str = ADMIN, ok: int = 299
    ) -> Any:
        """Call the forge's API as somebody; return the answer's JSON.

        Raises:
            SetupError: the status of the answer is above `ok`.
        """
        headers = {"Authorization": f"token {self.token(person)}"}
        url = f"{self.url}/api/v1{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=60)
        if answer.status_code > ok:
            raise SetupError(
                f"{method} {path} as {person}: {answer.status_code} {answer.text[:300]}"
            )
        return answer.json() if answer.content and answer.status_code < 300 else None

    # -- organisations and repositories

    def organisation(self, name: str, teams: Mapping[str, tuple[str, ...]]) -> None:
        """Make an organisation. teams: members by permission, such as {"write": ("alice",)}."""
        self.call("POST", "/orgs", {"username": name, "visibility": "public"})
        for permission, members in teams.items():
            units = dict.fromkeys(("repo.code", "repo.issues", "repo.pulls"), permission)
            body = {"name": f"{permission}rs", "permission": permission, "units_map": units}
            team = self.call(
                "POST", f"/orgs/{name}/teams", {**body, "includes_all_repositories": True}
            )
            for member in members:
                self.call("PUT", f"/teams/{team['id']}/members/{member}")

    def repository(self, org: str, name: str) -> None:
        """Make an empty public repository of an organisation."""
        body = {"name": name, "default_branch": "main", "private": False}
        self.call("POST", f"/orgs/{org}/repos", body)

    def push(self, source: Path, repo: str, *refs: str, person: str = ADMIN) -> None:
        """Push branches and options such as `--tags` of a local repository, by force.

        Gitea works a push off after its end, so this waits until the branches are there.
        """
        header = base64.b64encode(f"{person}:{self.token(person)}".encode()).decode()
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
            found = self.call(
                "GET", f"/repos/{repo}/branches/{branch}", ok=500
            )  # until it is there
            if found and found["commit"]["id"] == sha:
                return
            if time.monotonic() > end:
                raise SetupError(f"{repo} does not show branch {branch} at {sha} after the push")
            time.sleep(0.05)

    def commit(self, repo: str, branch: str, path: str, text: str, *, person: str = ADMIN) -> str:
        """Write one file on a branch, making the branch where it is missing; return the commit."""
        url = f"/repos/{repo}/contents/{path}"
        exists = self.call("GET", f"/repos/{repo}/branches/{branch}", person=person, ok=404)
        seen_from = branch if exists else "main"
        there = self.call("GET", f"{url}?ref={seen_from}", person=person, ok=404)
        content = base64.b64encode(text.encode()).decode()
        body: dict[str, str] = {"content": content, "message": f"{path} changes"}
        body |= {"branch": branch} if exists or branch == "main" else {"new_branch": branch}
        if there:
            answer = self.call("PUT", url, {**body, "sha": there["sha"]}, person=person)
        else:
            answer = self.call("POST", url, body, person=person)
        return str(answer["commit"]["sha"])

    def fork(self, repo: str, person: str) -> str:
        """Fork a repository for a person; return the fork's name."""
        self.call("POST", f"/repos/{repo}/forks", {}, person=person)
        return f"{person}/{repo.partition('/')[2]}"

    def there(self, path: str) -> Any:
        """Return the API's answer at an address, None where there is nothing."""
        return self.call("GET", path, ok=404)

    def pull(self, repo: str, head: str, title: str, *, person: str = ADMIN) -> int:
        """Open a pull request onto main; return its number."""
        body = {"head": head, "base": "main", "title": title}
        return int(self.call("POST", f"/repos/{repo}/pulls", body, person=person)["number"])

    def hook(self, org: str, url: str, secret: str) -> None:
        """Let an organisation deliver comments and pull requests to an address."""
        config = {"url": url, "content_type": "json", "secret": secret}
        events = ["pull_request_comment", "pull_request"]
        body = {"type": "gitea", "active": True, "events": events, "config": config}
        self.call("POST", f"/orgs/{org}/hooks", body)

    # -- what people do

    def comment(self, repo: str, pr: int, body: str, *, person: str) -> int:
        """Write a comment; return its id."""
        path = f"/repos/{repo}/issues/{pr}/comments"
        return int(self.call("POST", path, {"body": body}, person=person)["id"])

    def comments(self, repo: str, pr: int) -> list[dict[str, Any]]:
        """Return all comments of a pull request."""
        return list(self.call("GET", f"/repos/{repo}/issues/{pr}/comments"))

    def reactions(self, repo: str, comment: int) -> list[str]:
        """Return the reactions to a comment."""
        found = self.call("GET", f"/repos/{repo}/issues/comments/{comment}/reactions") or []
        return [str(row["content"]) for row in found]

    def statuses(self, repo: str, sha: str) -> dict[str, tuple[str, str]]:
        """Return state and description of the newest status of each context of a commit."""
        found = self.call("GET", f"/repos/{repo}/commits/{sha}/status")["statuses"] or []
        return {row["context"]: (row["status"], row["description"]) for row in found}
