"""Asks Drone whether our own build was cancelled: about one cancel in four never reaches a runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import requests

PERIOD = 10.0  # seconds between two questions
TIMEOUT = 10.0  # seconds for an answer


def address(environ: Mapping[str, str]) -> str | None:
    """Return where the state of this process's own build can be read, None outside of Drone."""
    keys = ("DRONE_SYSTEM_PROTO", "DRONE_SYSTEM_HOST", "DRONE_REPO", "DRONE_BUILD_NUMBER")
    proto, host, repo, number = (environ.get(key, "") for key in keys)
    if not all((proto, host, repo, number)):
        return None
    return f"{proto}://{host}/api/repos/{repo}/builds/{number}"


def was_killed(url: str) -> bool:
    """Say whether Drone has the build as killed; trouble in asking is no answer, so it is False."""
    try:
        answer = requests.get(url, timeout=TIMEOUT, allow_redirects=False)
        return answer.status_code == 200 and answer.json().get("status") == "killed"
    except (requests.RequestException, ValueError, AttributeError):
        return False


def watch(url: str, cancel: Callable[[str], None], *, period: float = PERIOD) -> threading.Event:
    """Ask every `period` seconds until the build is killed, then call `cancel` with the reason, once.

    Returns an event that ends the asking when it is set.
    """
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(period):
            if was_killed(url):
                cancel("cancelled: Drone has this build as killed")
                return

    threading.Thread(target=ask, name="own build", daemon=True).start()
    return stop
