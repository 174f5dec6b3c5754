"""abra's wait after a deploy: until all services run, fail, or time out."""

from __future__ import annotations

import time

from sandbox.standins.abra import log
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker

POLL_INTERVAL = 0.2  # seconds
DEFAULT_TIMEOUT = 50.0  # seconds abra waits unless the timeout label says otherwise
MAX_FAILURES = 3  # failed tasks of one service before abra gives up
ROLLED_BACK = frozenset({"paused", "rollback_paused", "rollback_started", "rollback_completed"})


def converge(app: App) -> None:
    """Wait for all services; a failed deploy stays applied.

    Raises:
        Fatal: a service rolled back or keeps failing, or the time is over.
    """
    timeout = _timeout(app)
    deadline = time.monotonic() + timeout
    log.info("waiting for the deployment to converge")
    while not _settled(app):
        if time.monotonic() > deadline:
            raise Fatal(f"deploy timed out after {timeout:.0f} seconds")
        time.sleep(POLL_INTERVAL)


def _timeout(app: App) -> float:
    key = f"coop-cloud.{app.stack}.timeout"
    for service in docker.services(app.stack):
        text = (service["Spec"].get("Labels") or {}).get(key, "")
        if text.isdigit():
            return float(text)
    return DEFAULT_TIMEOUT


def _settled(app: App) -> bool:
    tasks = docker.tasks(app.stack)
    for service in docker.services(app.stack):
        name = service["Spec"]["Name"]
        state = (service.get("UpdateStatus") or {}).get("State")
        if state in ROLLED_BACK:
            raise Fatal(f"deploy failed: {name} {state}")
        own = [t for t in tasks if t["ServiceID"] == service["ID"]]
        if sum(t["Status"]["State"] in ("failed", "rejected") for t in own) >= MAX_FAILURES:
            raise Fatal(f"deploy failed: {name} does not stay up")
        wanted = [t for t in own if t["DesiredState"] == "running"]
        replicas = (service["Spec"]["Mode"].get("Replicated") or {}).get("Replicas", len(wanted))
        up = [t for t in wanted if t["Status"]["State"] == "running"]
        if state == "updating" or len(up) < replicas:
            return False
    return True
