"""What one test works with: an organisation at a real Gitea, a Drone, and a bridge of its own."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import requests

from sandbox.ci.bridge import Bridge
from sandbox.ci.drone import Drone
from sandbox.forge.gitea import Gitea
from tests.integration.forge.faulty_proxy import FaultyProxy
from tests.support.ports import free_port

Discovery = Literal["hook", "poll", "both"]  # how the bridge finds comments
BOT, MEMBER, NON_MEMBER = "ccbot", "alice", "mallory"
UNFINISHED = (
    "SELECT count(*) FROM runs WHERE status != 'told' OR state != 'done'",
    "SELECT count(*) FROM comments WHERE decision IS NULL",
    "SELECT count(*) FROM reactions WHERE done = 0",
    "SELECT count(*) FROM answers WHERE done = 0",
)
TIMEOUT = 40.0  # seconds; far more than a working bridge needs


@dataclass
class BridgeEnv:
    """One organisation with one recipe, and a bridge for it.

    Attributes:
        folder: of the bridge and its recipes.
        forge: the Gitea with the organisation.
        drone: the Drone with the fake runs.
        scripts: folder with the scripts of the fake runs, see `fake_recipe_ci`.
        org: name of the organisation.
        discovery: how the bridge finds comments.
        settings: further variables of the bridge's environment.
    """

    folder: Path
    forge: Gitea
    drone: Drone
    scripts: Path
    org: str
    discovery: Discovery = "both"
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recipe = f"shop-{self.org}"  # a user has one fork of a name
        self.repo = f"{self.org}/{self.recipe}"
        self.gitea_proxy, self.drone_proxy = (
            FaultyProxy(self.forge.url),
            FaultyProxy(self.drone.url),
        )
        self._branches = 0
        recipes = self.folder / "recipes"
        (recipes / self.recipe).mkdir(parents=True)
        self.bridge = Bridge(
            self.folder / "bridge",
            free_port(),
            self.forge,
            self.drone_proxy.url,
            self.drone.token,
            self.org,
            {
                "GITEA_URL": self.gitea_proxy.url,
                "DRONE_PUBLIC_URL": self.drone.url,
                "BRIDGE_POLL_SECONDS": "0" if self.discovery == "hook" else "0.5",
                "BRIDGE_RECIPES_DIR": str(recipes),
                "BRIDGE_RUNS_URL": "http://runs.example",
                **self.settings,
            },
        )
        self.forge.create_organisation(self.org, {"write": (MEMBER, BOT)})
        self.forge.create_repository(self.org, self.recipe)
        self.forge.commit(self.repo, "main", "compose.yml", "services: {}\n")

    def open(self) -> None:
        """Start the bridge and add the webhook; return when the repository is enrolled."""
        self.bridge.start()
        if self.discovery != "poll":
            self.forge.add_webhook(self.org, f"{self.bridge.url}/hook", self.bridge.hook_secret)
        self.until(lambda: self._enrolled(), "the bridge enrols the repository")

    def _enrolled(self) -> bool:
        return any("/issues/comments" in path for _, _, path in self.gitea_proxy.calls)

    def close(self) -> None:
        """Stop the bridge and let every fake run continue."""
        for hold in self.scripts.glob("*.hold"):
            hold.unlink()
        self.gitea_proxy.mode = self.drone_proxy.mode = "pass"
        self.bridge.stop()
        self.gitea_proxy.close()
        self.drone_proxy.close()

    # -- what users do

    def pull(self, *, user: str = MEMBER) -> tuple[int, str]:
        """Open a pull request; return its number and head."""
        self._branches += 1
        branch = f"change-{self._branches}"
        if user == MEMBER:
            sha = self.forge.commit(self.repo, branch, "note.txt", branch)
            return self.forge.open_pull_request(self.repo, branch, branch, user=user), sha
        fork = self.forge.fork(self.repo, user)
        sha = self.forge.commit(fork, branch, "note.txt", branch, user=user)
        return self.forge.open_pull_request(self.repo, f"{user}:{branch}", branch, user=user), sha

    def push(self, number: int, *, text: str) -> str:
        """Push to a pull request's branch; return the new head."""
        head = self.forge.call("GET", f"/repos/{self.repo}/pulls/{number}")["head"]
        return self.forge.commit(head["repo"]["full_name"], head["ref"], "note.txt", text)

    def comment(self, number: int, body: str, *, user: str = MEMBER) -> int:
        """Post a comment; return its id."""
        return self.forge.comment(self.repo, number, body, user=user)

    def close_pull(self, number: int) -> None:
        """Close a pull request."""
        self.forge.call("PATCH", f"/repos/{self.repo}/pulls/{number}", {"state": "closed"})

    # -- scripts of runs

    def write_script(self, sha: str, **script: Any) -> None:
        """Write the script of the run of a commit; see fake_recipe_ci."""
        (self.scripts / f"{sha}.json").write_text(json.dumps(script))

    def hold(self, sha: str) -> None:
        """Make the run of a commit wait before its second stage."""
        (self.scripts / f"{sha}.hold").touch()

    def release(self, sha: str) -> None:
        """Let it continue."""
        (self.scripts / f"{sha}.hold").unlink()

    # -- what users see

    def until(self, holds: Callable[[], object], what: str, *, seconds: float = TIMEOUT) -> Any:
        """Wait until a condition is true; return its value."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > end:
                log = (
                    self.bridge.daemon.log.read_text()[-3000:]
                    if self.bridge.daemon.log.exists()
                    else ""
                )
                raise AssertionError(f"timed out waiting for: {what}\n{log}")
            time.sleep(0.05)
        return found

    def status(self, sha: str, lane: str = "cold") -> tuple[str, str]:
        """Return state and description of the commit status of a lane."""
        context = "cc-ci/testme" if lane == "cold" else "cc-ci/testme-quick"
        return self.forge.statuses(self.repo, sha).get(context, ("", ""))

    def final_state(self, sha: str, lane: str = "cold") -> str:
        """Wait until the commit status is final; return its state."""
        return str(
            self.until(
                lambda: (state := self.status(sha, lane)[0]) not in ("", "pending") and state,
                f"a verdict on {sha[:8]}",
            )
        )

    def bot_comments(self, number: int) -> list[str]:
        """Return the texts of the bot's comments on a pull request."""
        found = self.forge.comments(self.repo, number)
        return [row["body"] for row in found if row["user"]["login"] == BOT]

    def sticky_comment(self, number: int, words: str) -> str:
        """Wait until a sticky comment of the bot contains some words; return its text."""

        def seen() -> str:
            bodies = [
                b
                for b in self.bot_comments(number)
                if b.startswith(("<!-- cc-ci cold", "<!-- cc-ci quick"))
            ]
            return next((b for b in bodies if words in b), "")

        try:
            return str(self.until(seen, f"a comment with '{words}' on #{number}"))
        except AssertionError as error:
            raise AssertionError(
                f"{error}\ncomments of the bot: {self.bot_comments(number)}"
            ) from None

    def rendered(self, body: str) -> str:
        """Return the HTML that the forge renders from a comment."""
        response = requests.post(
            f"{self.forge.url}/api/v1/markdown",
            json={"Text": body, "Mode": "comment", "Context": self.repo},
            headers={"Authorization": f"token {self.forge.token(MEMBER)}"},
            timeout=30,
        )
        response.raise_for_status()
        return response.text

    def builds(self) -> list[dict[str, Any]]:
        """Return the builds of this recipe, oldest first."""
        response = requests.get(
            f"{self.drone.url}/api/repos/ci/cc-ci/builds?per_page=200", timeout=30
        )
        return [
            b for b in reversed(response.json()) if (b.get("params") or {}).get("SRC") == self.repo
        ]

    def wait_until_idle(self) -> None:
        """Wait until the bridge has published everything."""
        self.until(self.is_idle, "the bridge is idle")

    def is_idle(self) -> bool:
        """Return True if the bridge has nothing left to decide or publish."""
        address = f"file:{self.bridge.folder}/bridge.sqlite?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
            return all(db.execute(query).fetchone()[0] == 0 for query in UNFINISHED)
