"""The environment of a step, layer by layer."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.drone import VERSION
from sandbox.standins.drone.config import Config, Repo
from sandbox.standins.drone.server.model import Build, Stage


@dataclass(frozen=True, slots=True)
class Context:
    """A stage, its build and repository, and the folders in which its steps run."""

    config: Config
    repo: Repo
    build: Build
    stage: Stage
    source: Path
    home: Path


def of_step(
    context: Context, name: str, number: int, own: Mapping[str, str], failed: Sequence[str]
) -> dict[str, str]:
    """Return the environment of a step; later layers override earlier ones.

    Args:
        context: the stage.
        name: name of the step.
        number: its number, from 1.
        own: the variables that the step sets in `.drone.yml`.
        failed: names of the steps that have failed so far.
    """
    return {
        **{key: os.environ[key] for key in ("PATH", "USER") if key in os.environ},
        **context.config.environ,
        **context.build.seed.params,
        **of_stage(context),
        **_folders(context),
        **own,
        **_step_state(context, name, number, failed),
    }


def for_substitution(context: Context) -> dict[str, str]:
    """Return the values of `${NAME}` in the pipeline's text; here parameters override everything."""
    return {**context.config.environ, **of_stage(context), **context.build.seed.params}


def of_stage(context: Context) -> dict[str, str]:
    """Return the variables that are the same for every step of a stage."""
    return {
        "CI": "true",
        "DRONE": "true",
        "GIT_TERMINAL_PROMPT": "0",
        **_system(context.config),
        **_repo(context.repo),
        **_build(context.config, context.build),
        **_stage(context.stage),
        **_older_names(context.repo, context.build),
    }


def _system(config: Config) -> dict[str, str]:
    return {
        "DRONE_SYSTEM_PROTO": config.public_url.partition(":")[0],
        "DRONE_SYSTEM_HOST": config.host,
        "DRONE_SYSTEM_HOSTNAME": config.host,
        "DRONE_SYSTEM_VERSION": VERSION,
    }


def _repo(repo: Repo) -> dict[str, str]:
    return {
        "DRONE_REPO": repo.slug,
        "DRONE_REPO_SCM": "",
        "DRONE_REPO_OWNER": repo.owner,
        "DRONE_REPO_NAMESPACE": repo.owner,
        "DRONE_REPO_NAME": repo.name,
        "DRONE_REPO_LINK": repo.link,
        "DRONE_REPO_BRANCH": repo.branch,
        "DRONE_REPO_PRIVATE": "false",
        "DRONE_REPO_VISIBILITY": "public",
        "DRONE_REMOTE_URL": repo.clone_url,
        "DRONE_GIT_HTTP_URL": repo.clone_url,
        "DRONE_GIT_SSH_URL": f"git@localhost:{repo.slug}.git",
    }


def _build(config: Config, build: Build) -> dict[str, str]:
    seed = build.seed
    return {
        "DRONE_BRANCH": seed.branch,
        "DRONE_SOURCE_BRANCH": seed.branch,
        "DRONE_TARGET_BRANCH": seed.branch,
        "DRONE_COMMIT": seed.sha,
        "DRONE_COMMIT_SHA": seed.sha,
        "DRONE_COMMIT_BEFORE": seed.before,
        "DRONE_COMMIT_AFTER": seed.sha,
        "DRONE_COMMIT_REF": build.ref,
        "DRONE_COMMIT_BRANCH": seed.branch,
        "DRONE_COMMIT_LINK": seed.link,
        "DRONE_COMMIT_MESSAGE": seed.message,
        "DRONE_COMMIT_AUTHOR": seed.author_login,
        "DRONE_COMMIT_AUTHOR_NAME": seed.author_name,
        "DRONE_COMMIT_AUTHOR_EMAIL": seed.author_email,
        "DRONE_COMMIT_AUTHOR_AVATAR": seed.author_avatar,
        "DRONE_BUILD_NUMBER": str(build.number),
        "DRONE_BUILD_PARENT": str(seed.parent),
        "DRONE_BUILD_EVENT": seed.event,
        "DRONE_BUILD_ACTION": seed.action,
        "DRONE_BUILD_CREATED": str(build.created),
        "DRONE_BUILD_LINK": f"{config.public_url}/{build.repo}/{build.number}",
        "DRONE_DEPLOY_TO": "",
        "GIT_AUTHOR_NAME": seed.author_name or "drone",
        "GIT_AUTHOR_EMAIL": seed.author_email or "noreply@drone",
        "GIT_COMMITTER_NAME": seed.author_name or "drone",
        "GIT_COMMITTER_EMAIL": seed.author_email or "noreply@drone",
    }


def _stage(stage: Stage) -> dict[str, str]:
    return {
        "DRONE_STAGE_KIND": "pipeline",
        "DRONE_STAGE_TYPE": "exec",
        "DRONE_STAGE_NAME": stage.name,
        "DRONE_STAGE_NUMBER": str(stage.number),
        "DRONE_STAGE_MACHINE": stage.machine,
        "DRONE_STAGE_OS": "linux",
        "DRONE_STAGE_ARCH": "amd64",
        "DRONE_STAGE_VARIANT": "",
        "DRONE_STAGE_DEPENDS_ON": "",
    }


def _older_names(repo: Repo, build: Build) -> dict[str, str]:
    """Return the variables of Drone's first versions, which the runner still sets."""
    seed = build.seed
    return {
        "CI_BUILD_NUMBER": str(build.number),
        "CI_PARENT_BUILD_NUMBER": str(seed.parent),
        "CI_BUILD_CREATED": str(build.created),
        "CI_BUILD_STARTED": "0",
        "CI_BUILD_FINISHED": "0",
        "CI_BUILD_STATUS": "pending",
        "CI_BUILD_EVENT": seed.event,
        "CI_BUILD_LINK": seed.link,
        "CI_BUILD_TARGET": "",
        "CI_COMMIT_SHA": seed.sha,
        "CI_COMMIT_REF": build.ref,
        "CI_COMMIT_BRANCH": seed.branch,
        "CI_COMMIT_MESSAGE": seed.message,
        "CI_COMMIT_AUTHOR": seed.author_login,
        "CI_COMMIT_AUTHOR_NAME": seed.author_name,
        "CI_COMMIT_AUTHOR_EMAIL": seed.author_email,
        "CI_COMMIT_AUTHOR_AVATAR": seed.author_avatar,
        "CI_REPO": repo.slug,
        "CI_REPO_NAME": repo.slug,
        "CI_REPO_LINK": repo.link,
        "CI_REPO_PRIVATE": "false",
        "CI_REPO_REMOTE": repo.clone_url,
        "CI_REMOTE_URL": repo.clone_url,
    }


def _folders(context: Context) -> dict[str, str]:
    home, source = str(context.home), str(context.source)
    return {
        "HOME": home,
        "HOMEPATH": home,
        "USERPROFILE": home,
        "DRONE_HOME": source,
        "DRONE_WORKSPACE": source,
    }


def _step_state(context: Context, name: str, number: int, failed: Sequence[str]) -> dict[str, str]:
    """Return the variables that change from step to step."""
    now, status = str(int(time.time())), "failure" if failed else "success"
    values = {
        "DRONE_BUILD_STATUS": status,
        "DRONE_BUILD_STARTED": str(context.build.started),
        "DRONE_BUILD_FINISHED": now,
        "DRONE_STAGE_STATUS": status,
        "DRONE_STAGE_STARTED": str(context.stage.started),
        "DRONE_STAGE_FINISHED": now,
        "DRONE_STEP_NAME": name,
        "DRONE_STEP_NUMBER": str(number),
    }
    if failed:
        values |= {"CI_BUILD_STATUS": "failure", "DRONE_FAILED_STAGES": ""}
        values |= {"DRONE_FAILED_STEPS": ",".join(failed)}
    return values
