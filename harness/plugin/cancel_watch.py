"""Polls Drone for a cancel of our own build: about one cancel in four never reaches the runner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import requests

POLL_INTERVAL = 10.0  # seconds
REQUEST_TIMEOUT = 10.0  # seconds


def build_url(environ: Mapping[str, str]) -> str | None:
    """Return the API address of the build that this process belongs to, None outside of Drone."""
    keys = ("DRONE_SYSTEM_PROTO", "DRONE_SYSTEM_HOST", "DRONE_REPO", "DRONE_BUILD_NUMBER")
    proto, host, repo, number = (environ.get(key, "") for key in keys)
    if not all((proto, host, repo, number)):
        return None
    return f"{proto}://{host}/api/repos/{repo}/builds/{number}"


def was_killed(url: str) -> bool:
    """Return True if Drone lists the build as killed; False if it does not, or cannot be asked."""
    try:
        answer = requests.get(url, timeout=REQUEST_TIMEOUT, allow_redirects=False)
        return answer.status_code == 200 and answer.json().get("status") == "killed"
    except (requests.RequestException, ValueError, AttributeError):
        return False


def watch(
    url: str, cancel: Callable[[str], None], *, interval: float = POLL_INTERVAL
) -> threading.Event:
    """Poll until the build is killed, then call `cancel` once.

    Args:
        url: the build's API address.
        cancel: called with the reason, from another thread.
        interval: seconds between two requests.

    Returns:
        An event that stops the polling when it is set.
    """
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(interval):
            if was_killed(url):
                cancel("cancelled: Drone lists this build as killed")
                return

    threading.Thread(target=poll, name="cancel watch", daemon=True).start()
    return stop
