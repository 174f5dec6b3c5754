"""A session with workers (pytest-xdist): it tests nothing itself, and outlives those that do.

Each worker has runs of its own. A signal is handed on to them, and the session ends when they are done.
What a worker that died has left is cleared at once; it cannot do so itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

import pytest

from harness.errors import CcCiError
from harness.host import signals
from harness.plugin import scheduling
from harness.plugin.session import Runs
from harness.reporting import run_dir
from harness.runs import janitor
from harness.swarm import engine

SESSION = "ccci_session"  # what a worker is given: the id of the session its runs belong to


def session_of(config: pytest.Config) -> str | None:
    """Return the id of the session that this worker belongs to, None in what is no worker."""
    given = getattr(config, "workerinput", None)
    return None if given is None else str(given[SESSION])


class Controller:
    """The plugin of a session that controls workers."""

    def __init__(self, config: pytest.Config, runs: Runs) -> None:
        self._config = config
        self._runs = runs
        self._pids: list[int] = []

    def pass_on(self, sign: signal.Signals, reason: str) -> None:
        """Hand a signal on to the workers; the session ends when they are done.

        Raises:
            Interrupted: there are none.
        """
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if not self._pids:
            raise signals.Interrupted(reason)
        self._stop_if_told()

    def _stop_if_told(self) -> None:
        """Give out no more work, and replace no worker, once the session was told to end."""
        session = self._config.pluginmanager.getplugin("dsession")
        if session is not None and signals.reason():
            session.shouldstop = signals.reason()
            session._max_worker_restart = 0  # noqa: SLF001 - it would start one, only to end it

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker which session its runs belong to, and remember its process."""
        node.workerinput[SESSION] = self._runs.session_id
        self._pids.append(_pid_of(node))

    def pytest_testnodeready(self) -> None:
        """Give no work to a worker that comes up after the session was told to end."""
        self._stop_if_told()

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Learn from a worker what is to be tested: what never began must not look green."""
        self._runs.collected = list(ids)

    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Clear at once what a worker that died has left."""
        with contextlib.suppress(ValueError):
            self._pids.remove(_pid_of(node))
        if error:
            try:
                self._sweep()
            except CcCiError as trouble:
                self._runs.console(
                    f"what worker {node.gateway.id} left is not cleared yet: {trouble}"
                )

    def _sweep(self) -> None:
        runs = self._runs
        janitor.sweep(
            runs.settings,
            engine.client(),
            own_run=runs.session_id,
            progress=runs.console,
            finish=run_dir.finish_dead,
        )

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Keep each recipe on one worker, in stage order (loadgroup does not, with newer pytest)."""
        return scheduling.make(config, log)


def _pid_of(node: Any) -> int:
    return int(node.gateway._rinfo().pid)  # noqa: SLF001 - execnet has no public name for it
