"""Deploying and undeploying an app, in abra's own order of steps (abra 0.10 to 0.13)."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from sandbox.standins.abra import log
from sandbox.standins.abra.commands import in_container, lint, secret_specs
from sandbox.standins.abra.files import abra_dir, compose
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker

EVERY = 0.2  # seconds between two looks
CONVERGE = 50.0  # seconds abra waits unless the timeout label says otherwise
UNDEPLOY = 120.0  # seconds for tasks to end
MOST_FAILURES = 3  # failed tasks of one service before abra gives up
STOPPED = frozenset({"complete", "failed", "rejected", "shutdown", "orphaned", "remove"})
TURNED_BACK = frozenset({"paused", "rollback_paused", "rollback_started", "rollback_completed"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """The flags of `app deploy`."""

    version: str = ""
    chaos: bool = False
    force: bool = False
    offline: bool = False
    no_domain_checks: bool = False
    no_converge_checks: bool = False


def deploy(app: App, wishes: Wishes) -> None:
    """Deploy an app.

    Raises:
        Fatal: refused before, or failed after the services were changed.
    """
    if wishes.version and wishes.chaos:
        raise Fatal("cannot use <version> and --chaos together")
    version = wishes.version or app.env.version
    app.checkout.ensure(version, chaos=wishes.chaos, offline=wishes.offline)
    if not wishes.chaos:
        lint.require(app.checkout)
        version = version.removesuffix("+U") or app.checkout.newest() or app.checkout.head()[:8]
    deployed = bool(docker.services(app.stack))
    if deployed and not (wishes.force or wishes.chaos):
        raise Fatal(f"{app.domain} is already deployed")
    found, values = app.compose(), app.values()
    secret_specs.require(
        secret_specs.wanted(found, app.env, values, app.stack), set(docker.secrets())
    )
    _warn_about_missing(app)
    if not wishes.no_domain_checks:
        _check_domain(app)
    chaos_version = app.checkout.chaos_version() if wishes.chaos else ""
    log.info(f"deploying {app.domain} ({app.env.recipe} {chaos_version or version})")
    _apply(app, found, values, version=version, chaos_version=chaos_version)
    if not wishes.no_converge_checks:
        _converge(app)
        _post_deploy(app, "POST_UPGRADE_CMDS" if deployed else "POST_DEPLOY_CMDS")
    app.pin(chaos_version or version)
    log.info("deploy succeeded" if not wishes.no_converge_checks else "skipping converge checks")


def undeploy(app: App) -> None:
    """Remove an app's services, networks and configs and wait for its tasks; data stays.

    Raises:
        Fatal: it is not deployed, or tasks do not end.
    """
    require_deployed(app)
    docker.stack_remove(app.stack)
    deadline = time.monotonic() + UNDEPLOY
    while any(task["Status"]["State"] not in STOPPED for task in docker.tasks(app.stack)):
        if time.monotonic() > deadline:
            raise Fatal(f"timed out waiting for the tasks of {app.stack} to end")
        time.sleep(EVERY)
    log.info(f"{app.domain} undeployed")


def require_deployed(app: App) -> None:
    """Make sure that an app has services.

    Raises:
        Fatal: it has none.
    """
    if not docker.services(app.stack):
        raise Fatal(f"{app.domain} is not deployed")


def override(
    found: Compose, stack: str, *, recipe: str, version: str, chaos_version: str, mode: str
) -> dict[str, Any]:
    """Return what every deploy lays over the recipe's files: abra's labels, and the endpoint mode.

    version: for a release; empty in a chaos deploy, where the recipe's own label stays.
    mode: laid on every service that publishes no port through the routing mesh; "" for none.
    """
    services: dict[str, Any] = {}
    for name, service in found.services.items():
        body: dict[str, Any] = {}
        if mode and not compose.publishes_ingress(service):
            body["endpoint_mode"] = mode
        if name == "app":
            body["labels"] = _labels(stack, recipe, version, chaos_version)
        if body:
            services[name] = {"deploy": body}
    tree: dict[str, Any] = {"services": services}
    return {"version": found.version, **tree} if found.version is not None else tree


def _labels(stack: str, recipe: str, version: str, chaos_version: str) -> dict[str, str]:
    prefix = f"coop-cloud.{stack}"
    labels = {f"{prefix}.recipe": recipe, f"{prefix}.chaos": "true" if chaos_version else "false"}
    if chaos_version:
        labels[f"{prefix}.chaos-version"] = chaos_version
    else:
        labels[f"{prefix}.version"] = version
    return labels


def _apply(
    app: App, found: Compose, values: dict[str, str], *, version: str, chaos_version: str
) -> None:
    """Hand the files to Docker; ours lives in memory, so nothing is left when we are killed."""
    tree = override(
        found,
        app.stack,
        recipe=app.env.recipe,
        version=version,
        chaos_version=chaos_version,
        mode=abra_dir.endpoint_mode(os.environ),
    )
    fd = os.memfd_create("override")
    try:
        os.write(fd, json.dumps(tree).encode())
        files = [*(str(file) for file in found.files), f"/proc/self/fd/{fd}"]
        env = abra_dir.compose_environment(values, os.environ)
        docker.stack_deploy(app.stack, files, env=env, fds=[fd])
    finally:
        os.close(fd)


def _warn_about_missing(app: App) -> None:
    sample = app.checkout.path / ".env.sample"
    if not sample.is_file():
        return
    from sandbox.standins.abra.files import env_file

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


def _converge(app: App) -> None:
    """Wait for all services; what was applied stays applied when this fails."""
    budget = _budget(app)
    deadline = time.monotonic() + budget
    log.info("waiting for the deployment to converge")
    while not _settled(app):
        if time.monotonic() > deadline:
            raise Fatal(f"deploy timed out after {budget:.0f} seconds")
        time.sleep(EVERY)


def _budget(app: App) -> float:
    key = f"coop-cloud.{app.stack}.timeout"
    for service in docker.services(app.stack):
        text = (service["Spec"].get("Labels") or {}).get(key, "")
        if text.isdigit():
            return float(text)
    return CONVERGE


def _settled(app: App) -> bool:
    tasks = docker.tasks(app.stack)
    for service in docker.services(app.stack):
        name = service["Spec"]["Name"]
        state = (service.get("UpdateStatus") or {}).get("State")
        if state in TURNED_BACK:
            raise Fatal(f"deploy failed: {name} {state}")
        mine = [t for t in tasks if t["ServiceID"] == service["ID"]]
        if sum(t["Status"]["State"] in ("failed", "rejected") for t in mine) >= MOST_FAILURES:
            raise Fatal(f"deploy failed: {name} does not stay up")
        wanted = [t for t in mine if t["DesiredState"] == "running"]
        replicas = (service["Spec"]["Mode"].get("Replicated") or {}).get("Replicas", len(wanted))
        up = [t for t in wanted if t["Status"]["State"] == "running"]
        if state == "updating" or len(up) < replicas:
            return False
    return True


def _post_deploy(app: App, key: str) -> None:
    text = app.env.values.get(key, "")
    for words in (part.split() for part in text.split("|")):
        if len(words) >= 2:
            log.info(f"running post-command '{' '.join(words)}'")
            in_container.function(app, words[0], words[1], words[2:], terminal=False)
