"""A thread that does one thing again and again, whatever happens, until it is told to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bridge import metrics

AFTER_ERROR = 5.0  # seconds; an error here is a bug, and a bug must not spin
log = logging.getLogger("bridge.loop")


class Loop:
    """Calls `step` whenever it is due or woken; `step` returns the seconds until it is due again."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._step = step
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._go, name=name, daemon=True)
        self.beat = time.monotonic()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Let the next step begin now, or as soon as the present one has ended."""
        self._woken.set()

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping = True
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Wait for the present step's end."""
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether its thread goes on."""
        return self._thread.is_alive()

    def _go(self) -> None:
        while not self._stopping:
            self._woken.clear()
            pause = self._safely()
            self.beat = time.monotonic()
            self._woken.wait(min(max(0.0, pause), 3600.0))

    def _safely(self) -> float:
        try:
            return self._step()
        except Exception:
            metrics.CRASHES.labels(self.name).inc()
            log.exception("error in the bridge itself, in loop '%s'; it goes on", self.name)
            return AFTER_ERROR
