"""A run with an infrastructure problem is retried once and never counts against the recipe."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.builds.watcher import Watcher
from bridge.clients.drone import Build, Step
from bridge.clients.gitea import Pull
from bridge.model import Command, CommandComment, Outbox, Result, Run
from bridge.store import Store
from contract.marker import MARKER

SHA = "a" * 40
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 7, 1.0)
STATES = {"passed": "success", "recipe": "failure", "suite": "failure"}


def report(verdict: str, **more: Any) -> str:
    """Return the log of a build whose report has this verdict."""
    row = {"event": "run-report", "run": "1", "recipe": "shop", "ref": SHA, "lane": "cold",
           "verdict": verdict, "commit_state": STATES.get(verdict, "error"), "reason": "because"}  # fmt: skip
    return f"{MARKER}{json.dumps({**row, **more})}\n"


class Drone:
    """A Drone whose builds are finished as soon as they are created.

    Args:
        ends: status, exit code and log of each build; the last one also for all further builds.
    """

    def __init__(self, *ends: tuple[str, int, str]) -> None:
        self.ends = ends
        self.created: list[Mapping[str, str]] = []

    def create(self, parameters: Mapping[str, str]) -> Build:
        """Create a build."""
        self.created.append(parameters)
        return self.get(len(self.created))

    def get(self, number: int) -> Build:
        """Return a build."""
        status, code, _ = self._end(number)
        work = Step(1, 2, "recipe", status, code)
        return Build(number, status, "custom", "", self.created[number - 1], 1.0, 2.0, (work,))

    def latest(self, count: int = 50) -> list[Build]:
        """Return all builds, latest first."""
        return [self.get(number + 1) for number in reversed(range(len(self.created)))][:count]

    def log(self, number: int, step: Step) -> str:
        """Return a build's log."""
        return self._end(number)[2]

    def _end(self, number: int) -> tuple[str, int, str]:
        return self.ends[min(number, len(self.ends)) - 1]


class Gitea:
    """A forge on which the pull request does not change."""

    def pull(self, repo: str, pr: int) -> Pull:
        """Return the pull request."""
        return Pull(pr, open=True, head=SHA)


class Bridge:
    """A watcher with a store and a Drone of its own."""

    def __init__(self, store: Store, drone: Drone) -> None:
        self.store, self.drone = store, drone
        self.woken = threading.Event()
        drone_client: Any = drone
        gitea_client: Any = Gitea()
        self.watcher = Watcher(
            drone_client,
            gitea_client,
            store,
            check_every=0,
            silence=600,
            start_within=600,
            on_change=lambda: None,
            wake=self.woken.set,
        )

    def follow(self, run: Run = RUN, cancel_before: int = 0) -> tuple[Result, Run]:
        """Follow a run until it is done.

        Args:
            run: the run.
            cancel_before: number of the step before which the run is cancelled, 0 for never.
        """
        comment = CommandComment(7, "org/shop", 3, "alice", Command.COLD, 1.0)
        made = self.store.decide(comment, "started", Outbox(run=run))
        assert made is not None
        for step in range(1, 30):
            now = self.store.run(made.id)
            if now.result is not None:
                return now.result, now
            if step == cancel_before:
                self.store.request_cancel(now, "cancelled by alice")
            self.woken.clear()
            self.watcher.recheck("org/shop", 3)
            self.watcher.step()
            assert self.woken.wait(30)
        raise AssertionError("the run is never done")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    made = Store(tmp_path / "bridge.sqlite")
    yield made
    made.close()


def bridge(store: Store, *ends: tuple[str, int, str]) -> Bridge:
    """Return a bridge with these builds in Drone."""
    return Bridge(store, Drone(*ends))


INFRA = {
    "report": ("failure", 16, report("infra")),
    "exit code 16": ("failure", 16, ""),
    "unknown exit code": ("failure", 137, ""),
    "invalid pipeline": ("error", 0, ""),
    "another commit": ("success", 0, report("passed", ref="b" * 40)),
    "another lane": ("success", 0, report("passed", lane="quick")),
    "passed in a failed build": ("failure", 1, report("passed")),
    "passed without success": ("success", 0, report("passed", commit_state="error")),
}


@pytest.mark.parametrize("problem", INFRA)
def test_infrastructure_problem_is_retried_once_and_is_no_failure(
    store: Store, problem: str
) -> None:
    """Two builds with the same parameters, then a commit status "error", never "failure"."""
    tried = bridge(store, INFRA[problem])
    result, run = tried.follow()
    assert len(tried.drone.created) == 2 and tried.drone.created[0] == tried.drone.created[1]
    assert (result.verdict, result.state, run.attempt, run.build) == ("infra", "error", 2, 2)


def test_second_attempt_decides(store: Store) -> None:
    tried = bridge(store, INFRA["report"], ("success", 0, report("passed", level=5)))
    result, run = tried.follow()
    assert (result.verdict, result.state, len(tried.drone.created)) == ("passed", "success", 2)
    assert run.attempt == 2 and result.report is not None and result.report.level == 5


@pytest.mark.parametrize(
    ("end", "name", "state"),
    [
        (("success", 0, report("passed")), "passed", "success"),
        (("failure", 1, report("recipe")), "recipe", "failure"),
        (("failure", 1, report("suite")), "suite", "failure"),
        (("failure", 1, report("timeout")), "timeout", "error"),
        (("failure", 2, report("interrupted")), "interrupted", "error"),
        (("failure", 2, report("cancelled")), "cancelled", "error"),
        (("failure", 2, ""), "interrupted", "error"),
        (("killed", 0, ""), "cancelled", "error"),
    ],
)
def test_other_verdicts_are_not_retried(
    store: Store, end: tuple[str, int, str], name: str, state: str
) -> None:
    tried = bridge(store, end)
    result, run = tried.follow()
    assert (result.verdict, result.state, run.attempt) == (name, state, 1)
    assert len(tried.drone.created) == 1


def test_cancelled_run_is_not_retried(store: Store) -> None:
    """Even if it hit an infrastructure problem before."""
    tried = bridge(store, INFRA["report"])
    result, _ = tried.follow(cancel_before=2)
    assert (result.verdict, result.reason, len(tried.drone.created)) == (
        "cancelled",
        "cancelled by alice",
        1,
    )


def test_number_of_attempts_survives_a_restart(store: Store) -> None:
    tried = bridge(store, INFRA["report"])
    result, run = tried.follow(replace(RUN, attempt=2))
    assert (result.verdict, run.attempt, len(tried.drone.created)) == ("infra", 2, 1)
