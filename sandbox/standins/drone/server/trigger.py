"""What makes a build: a request, a restart, a push."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.standins.drone.config import Repo
from sandbox.standins.drone.pipeline.drone_yml import PipelineError, read
from sandbox.standins.drone.server.build_service import Server
from sandbox.standins.drone.server.forge import Forge
from sandbox.standins.drone.server.model import Build, Seed

NOT_PARAMS = ("access_token", "branch", "commit")
SKIPPED = ("[ci skip]", "[skip ci]", "***no_ci***")
NOWHERE = "0" * 40
HEADS = "refs/heads/"


class NoConfig(Exception):
    """The commit has no `.drone.yml`; the server gave up waiting for one."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Turns what was asked for into builds."""

    server: Server
    forge: Forge
    ended: threading.Event  # the process is about to end: wait no longer

    def custom(self, repo: Repo, login: str, query: Mapping[str, str]) -> Build | None:
        """Make the build that a request asks for; None when no pipeline wants it.

        Raises:
            ForgeError: there is no such commit or branch.
            NoConfig: the commit has no `.drone.yml`.
        """
        branch = (query.get("branch") or repo.branch).removeprefix(HEADS)
        commit = self.forge.commit(repo, branch, query.get("commit", ""))
        params = {name: value for name, value in query.items() if name not in NOT_PARAMS}
        seed = Seed(
            event="custom",
            trigger=login,
            sender=login,
            branch=branch,
            sha=commit.sha,
            before=commit.sha,
            link=f"{repo.forge}/api/v1/repos/{repo.slug}/git/commits/{commit.sha}",
            message=params.get("message") or commit.message,
            action=params.get("action", ""),
            author_login=commit.author,
            author_email=commit.email,
            params=params,
        )
        return self._build(repo, seed)

    def restart(self, repo: Repo, login: str, old: Build, query: Mapping[str, str]) -> Build | None:
        """Make a build like an old one; new parameters are added, old values win.

        Raises:
            NoConfig: the commit has no `.drone.yml`.
        """
        asked = {name: value for name, value in query.items() if name not in NOT_PARAMS}
        params = {**asked, **old.seed.params}
        seed = replace(old.seed, trigger=login, parent=old.number, params=params)
        return self._build(repo, seed)

    def push(self, repo: Repo, found: Mapping[str, Any]) -> Build | None:
        """Make the build of a push, unless its newest commit says that it wants none.

        Raises:
            ForgeError: the forge cannot be asked.
            NoConfig: the commit has no `.drone.yml`.
        """
        commits = found.get("commits") or [{}]
        message, author = commits[0].get("message", ""), commits[0].get("author") or {}
        if any(mark in message.lower() for mark in SKIPPED):
            return None
        sender = found.get("sender") or {}
        seed = Seed(
            event="push",
            trigger="@hook",
            sender=sender.get("login", ""),
            branch=found["ref"].removeprefix(HEADS),
            sha=found["after"],
            before=found.get("before", ""),
            link=found.get("compare_url", ""),
            message=message,
            author_login=author.get("username", ""),
            author_name=author.get("name", ""),
            author_email=author.get("email", ""),
            author_avatar=sender.get("avatar_url", ""),
        )
        if not repo.active:
            return None
        self.forge.commit(repo, seed.branch, seed.sha)
        return self._build(repo, seed)

    def _build(self, repo: Repo, seed: Seed) -> Build | None:
        if not repo.active:
            return None
        text = self.forge.config(repo, seed.sha)
        if text is None:
            self.ended.wait(self.server.config.missing_yaml_wait)
            raise NoConfig
        try:
            pipelines = read(text)
        except PipelineError as error:
            return self.server.add_broken(repo, seed, str(error))
        wanted = [p for p in pipelines if p.trigger.holds(seed.event, seed.branch)]
        return self.server.add(repo, seed, text, wanted) if wanted else None
