"""A thread that repeats one step until it is stopped, whatever happens in the step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bridge import metrics

ERROR_PAUSE = 5.0  # seconds; an error here is a bug, which must not become a busy loop
MAX_PAUSE = 3600.0  # seconds
log = logging.getLogger("bridge.loop")


class Loop:
    """Calls `step` when it is due or woken; `step` returns the seconds until it is due again."""

    def __init__(self, name: str, step: Callable[[], float]) -> None:
        self.name = name
        self._step = step
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Take the next step now, or right after the current one."""
        self._woken.set()

    def stop(self) -> None:
        """Take no further step."""
        self._stopping = True
        self._woken.set()

    def join(self, seconds: float) -> None:
        """Wait for the current step to finish."""
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping:
            self._woken.clear()
            pause = self._safe_step()
            self._woken.wait(min(max(0.0, pause), MAX_PAUSE))

    def _safe_step(self) -> float:
        try:
            return self._step()
        except Exception:
            metrics.CRASHES.labels(self.name).inc()
            log.exception("bug in the bridge, in loop '%s'; continuing", self.name)
            return ERROR_PAUSE
