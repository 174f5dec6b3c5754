"""`app deploy` and `app undeploy`, in abra's own order of steps (abra 0.10 to 0.13)."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands import in_container, lint
from sandbox.standins.abra.commands.converge import POLL_INTERVAL, converge
from sandbox.standins.abra.commands.preconditions import (
    named_app,
    require_deployed,
    require_no_input,
    require_terminal,
)
from sandbox.standins.abra.files import env_file
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.recipe import secret_specs
from sandbox.standins.abra.recipe.override import endpoint_mode, override
from sandbox.standins.abra.tools import docker

UNDEPLOY_TIMEOUT = 120.0  # seconds for tasks to stop
STOPPED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})


@dataclass(frozen=True, slots=True)
class Options:
    """Version and flags of `app deploy`."""

    version: str = ""
    chaos: bool = False
    force: bool = False
    offline: bool = False
    no_domain_checks: bool = False
    no_converge_checks: bool = False


def app_deploy(line: CommandLine) -> None:
    """Deploy the app that the command line names."""
    require_terminal()
    require_no_input(line)
    app = named_app(line)
    options = Options(
        version=line.args[1] if len(line.args) > 1 else "",
        chaos=line.has("chaos"),
        force=line.has("force"),
        offline=line.has("offline"),
        no_domain_checks=line.has("no-domain-checks"),
        no_converge_checks=line.has("no-converge-checks"),
    )
    deploy(app, options)


def deploy(app: App, options: Options) -> None:
    """Deploy an app.

    Raises:
        Fatal: refused before anything changed, or failed after the services were changed.
    """
    if options.version and options.chaos:
        raise Fatal("cannot use <version> and --chaos together")
    version = options.version or app.env.version
    app.checkout.ensure(version, chaos=options.chaos, offline=options.offline)
    if not options.chaos:
        lint.require_no_errors(app.checkout)
        version = version.removesuffix("+U") or app.checkout.newest_version()
        version = version or app.checkout.short_head()
    deployed = bool(docker.services(app.stack))
    if deployed and not (options.force or options.chaos):
        raise Fatal(f"{app.domain} is already deployed")
    merged, values = app.compose(), app.values()
    specs = secret_specs.of_app(merged, app.env, values, app.stack)
    secret_specs.require(specs, set(docker.secrets()))
    _warn_about_missing_keys(app)
    if not options.no_domain_checks:
        _check_domain(app)
    chaos_version = app.checkout.chaos_version() if options.chaos else ""
    log.info(f"deploying {app.domain} ({app.env.recipe} {chaos_version or version})")
    _apply(app, merged, values, version=version, chaos_version=chaos_version)
    if not options.no_converge_checks:
        converge(app)
        _run_post_commands(app, "POST_UPGRADE_CMDS" if deployed else "POST_DEPLOY_CMDS")
    app.pin(chaos_version or version)
    log.info("deploy succeeded" if not options.no_converge_checks else "skipping converge checks")


def app_undeploy(line: CommandLine) -> None:
    """Remove an app's services, networks and configs and wait for its tasks; data stays.

    Raises:
        Fatal: the app is not deployed, or its tasks do not stop.
    """
    require_terminal()
    require_no_input(line)
    app = named_app(line)
    require_deployed(app)
    docker.stack_remove(app.stack)
    deadline = time.monotonic() + UNDEPLOY_TIMEOUT
    while any(task["Status"]["State"] not in STOPPED for task in docker.tasks(app.stack)):
        if time.monotonic() > deadline:
            raise Fatal(f"timed out waiting for the tasks of {app.stack} to end")
        time.sleep(POLL_INTERVAL)
    log.info(f"{app.domain} undeployed")


def _apply(
    app: App, merged: Compose, values: dict[str, str], *, version: str, chaos_version: str
) -> None:
    """Give the compose files to Docker; the override file is in memory, so a killed run leaves no file."""
    tree = override(
        merged,
        app.stack,
        recipe=app.env.recipe,
        version=version,
        chaos_version=chaos_version,
        mode=endpoint_mode(os.environ),
    )
    fd = os.memfd_create("override")
    try:
        os.write(fd, json.dumps(tree).encode())
        files = [*(str(file) for file in merged.files), f"/proc/self/fd/{fd}"]
        env = docker.compose_environment(values, os.environ)
        docker.stack_deploy(app.stack, files, env=env, fds=[fd])
    finally:
        os.close(fd)


def _warn_about_missing_keys(app: App) -> None:
    sample = app.checkout.path / ".env.sample"
    if not sample.is_file():
        return
    for key in env_file.read(sample).values:
        if key not in app.env.values and key not in ("TYPE", "RECIPE"):
            log.warn(f"{key} missing from {app.domain}.env")


def _check_domain(app: App) -> None:
    domain = app.env.values.get("DOMAIN")
    if not domain:
        return
    try:
        socket.getaddrinfo(domain, 443, family=socket.AF_INET)
    except OSError as error:
        raise Fatal(f"unable to retrieve ipv4 address for {domain}: {error}") from error


def _run_post_commands(app: App, key: str) -> None:
    text = app.env.values.get(key, "")
    for words in (part.split() for part in text.split("|")):
        if len(words) >= 2:
            log.info(f"running post-command '{' '.join(words)}'")
            in_container.run_function(app, words[0], words[1], words[2:], terminal=False)
