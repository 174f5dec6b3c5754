"""Sessions with workers (pytest-xdist): one recipe, one worker; signals and dead workers are handled.

The controlling session tests nothing itself. It passes signals on to its workers, waits until they have
finished, and removes what a worker that died has left, since the worker cannot.

`--dist loadgroup` groups nothing with pytest 9.2 and xdist 3.8 (pytest-xdist#1386), so the scheduler here
groups tests by the recipe in their id.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from harness.errors import CcCiError
from harness.host import signals
from harness.plugin.session import Runs
from harness.runs.record import sweep
from harness.suites.suite import LIFECYCLE

SESSION = "ccci_session"  # key in a worker's input: the id of the session that its runs belong to
BRACKET = re.compile(r"\[(?:after-[a-z]+-)?(?P<recipe>[^\]]+)\]$")


def session_of(config: pytest.Config) -> str | None:
    """Return the id of the session that this worker belongs to, None if this is not a worker."""
    given = getattr(config, "workerinput", None)
    return None if given is None else str(given[SESSION])


class Controller:
    """The plugin of a session that controls workers."""

    def __init__(self, config: pytest.Config, runs: Runs) -> None:
        self._config = config
        self._runs = runs
        self._pids: list[int] = []

    def pass_on(self, sign: signal.Signals, reason: str) -> None:
        """Send a signal to all workers; the session ends when they have finished.

        Args:
            sign: the signal to send.
            reason: why the session is stopped.

        Raises:
            Interrupted: there is no worker.
        """
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        if not self._pids:
            raise signals.Interrupted(reason)
        self._stop_if_interrupted()

    def _stop_if_interrupted(self) -> None:
        """Schedule no more work and replace no worker once the session is being stopped."""
        session = self._config.pluginmanager.getplugin("dsession")
        if session is not None and signals.reason():
            session.shouldstop = signals.reason()
            session._max_worker_restart = 0  # noqa: SLF001 - it would start a worker only to stop it

    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker the id of the session, and remember its process."""
        node.workerinput[SESSION] = self._runs.session_id
        self._pids.append(_pid_of(node))

    def pytest_testnodeready(self) -> None:
        """Give no work to a worker that starts after the session was stopped."""
        self._stop_if_interrupted()

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Remember which recipes are to be tested: one that never begins must not look green."""
        self._runs.recipes_of_workers = frozenset(map(scope_of, ids))

    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        """Remove immediately what a worker that died has left."""
        with contextlib.suppress(ValueError):
            self._pids.remove(_pid_of(node))
        if error:
            runs = self._runs
            try:
                sweep(runs.settings, runs.session_id, runs.console)
            except CcCiError as problem:
                worker = node.gateway.id
                runs.console(f"what worker {worker} left could not be removed yet: {problem}")

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> RecipeScheduling:
        """Keep each recipe on one worker, in stage order."""
        return RecipeScheduling(config, log)


def _pid_of(node: Any) -> int:
    return int(node.gateway._rinfo().pid)  # noqa: SLF001 - execnet has no public name for it


class RecipeScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Schedules whole recipes, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def remove_node(self, node: Any) -> Any:
        """Remove a worker that died, and return the test during which it died.

        The recipe that it had begun is over: on another worker the remaining steps could only find that
        the steps they need did not run. The recipes that it had not begun go to other workers.
        """
        work = self.assigned_work[node]
        begun = next((scope for scope, unit in work.items() if not all(unit.values())), None)
        unit = {} if begun is None else work.pop(begun)
        super().remove_node(node)
        return next((test for test, finished in unit.items() if not finished), None)


def scope_of(nodeid: str) -> str:
    """Return the recipe that a test's id belongs to; its file for tests that belong to none."""
    path, _, _ = nodeid.partition("::")
    folders = path.split("/")
    if folders[-1] == LIFECYCLE:
        match = BRACKET.search(nodeid)
        return match["recipe"] if match else path
    return folders[-2] if len(folders) > 1 else path
