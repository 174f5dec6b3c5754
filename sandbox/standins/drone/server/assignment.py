"""A stage that the runner has taken: its deadline, and whether it was cancelled."""

from __future__ import annotations

import threading
import time

from sandbox.standins.drone.config import Repo
from sandbox.standins.drone.server.model import Build, Stage


class Assignment:
    """A stage that the runner has taken; shared by the server's and the runner's threads."""

    def __init__(self, repo: Repo, build: Build, stage: Stage, timeout_minutes: float) -> None:
        self.repo = repo
        self.build = build
        self.stage = stage
        self.deadline = time.monotonic() + timeout_minutes * 60
        self.cancelled = False
        self.cancel_lost = False  # the build was cancelled, but the runner never learned it
        self.changed = threading.Event()  # the runner has to look at `stopped` again
        self.reported = threading.Event()  # the end of the stage was reported

    @property
    def stopped(self) -> bool:
        """True if its steps have to stop now."""
        return self.cancelled or self.seconds_left == 0.0

    @property
    def seconds_left(self) -> float:
        """Seconds until its deadline."""
        return max(self.deadline - time.monotonic(), 0.0)

    def cancel(self) -> None:
        """Make the runner stop the stage."""
        self.cancelled = True
        self.changed.set()
