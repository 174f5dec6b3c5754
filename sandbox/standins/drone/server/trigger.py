"""Creates builds: on request, by restarting one, and for a push."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.standins.drone.config import Repo
from sandbox.standins.drone.pipeline.drone_yml import PipelineError, parse
from sandbox.standins.drone.server.build_service import BuildService
from sandbox.standins.drone.server.forge import Forge
from sandbox.standins.drone.server.model import Build, Seed

NOT_PARAMS = ("access_token", "branch", "commit")
SKIP_MARKS = ("[ci skip]", "[skip ci]", "***no_ci***")
NULL_SHA = "0" * 40  # the commit of a deleted branch
BRANCH_PREFIX = "refs/heads/"


class MissingPipelineFile(Exception):
    """The commit has no `.drone.yml`, not even after the server has waited for one."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Creates builds."""

    builds: BuildService
    forge: Forge
    exiting: threading.Event  # set when the process is about to exit: stop waiting

    def custom(self, repo: Repo, login: str, query: Mapping[str, str]) -> Build | None:
        """Create the build that a request asks for; return None if it triggers no pipeline.

        Raises:
            ForgeError: there is no such commit or branch, or the forge does not answer.
            MissingPipelineFile: the commit has no `.drone.yml`.
        """
        branch = (query.get("branch") or repo.branch).removeprefix(BRANCH_PREFIX)
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
        """Create a build like an old one; new parameters are added, but do not replace old values.

        Raises:
            MissingPipelineFile: the commit has no `.drone.yml`.
        """
        new = {name: value for name, value in query.items() if name not in NOT_PARAMS}
        params = {**new, **old.seed.params}
        seed = replace(old.seed, trigger=login, parent=old.number, params=params)
        return self._build(repo, seed)

    def push(self, repo: Repo, found: Mapping[str, Any]) -> Build | None:
        """Create the build of a push, unless its newest commit asks to skip it.

        Raises:
            ForgeError: the forge does not answer.
            MissingPipelineFile: the commit has no `.drone.yml`.
        """
        commits = found.get("commits") or [{}]
        message, author = commits[0].get("message", ""), commits[0].get("author") or {}
        if any(mark in message.lower() for mark in SKIP_MARKS):
            return None
        sender = found.get("sender") or {}
        seed = Seed(
            event="push",
            trigger="@hook",
            sender=sender.get("login", ""),
            branch=found["ref"].removeprefix(BRANCH_PREFIX),
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
            self.exiting.wait(self.builds.config.missing_yaml_wait)
            raise MissingPipelineFile
        try:
            pipelines = parse(text)
        except PipelineError as error:
            return self.builds.add_broken(repo, seed, str(error))
        wanted = [p for p in pipelines if p.trigger.matches(seed.event, seed.branch)]
        return self.builds.add(repo, seed, text, wanted) if wanted else None
