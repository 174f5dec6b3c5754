"""Trouble of our own side is tried once more, counted, and never blamed on the recipe; nothing else is."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.builds.verdict import Verdict
from bridge.builds.watcher import Watcher
from bridge.clients.drone import Build, Step
from bridge.clients.gitea import Pull
from bridge.comments.grammar import Command
from bridge.store import Outbox, Run, Spoken, Store
from contract.marker import MARKER

SHA = "a" * 40
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 7, 1.0)
ENDS = {"passed": "success", "recipe": "failure", "suite": "failure"}


def report(verdict: str, **more: Any) -> str:
    """Return the log of a build that came to a verdict."""
    row = {"event": "run-report", "run": "1", "recipe": "shop", "ref": SHA, "lane": "cold",
           "verdict": verdict, "commit_state": ENDS.get(verdict, "error"), "reason": "because"}  # fmt: skip
    return f"{MARKER}{json.dumps({**row, **more})}\n"


class Drone:
    """A Drone whose builds have ended as soon as they are made: the first ones so, the rest like the last."""

    def __init__(self, *ends: tuple[str, int, str]) -> None:
        self.ends = ends
        self.made: list[Mapping[str, str]] = []

    def create(self, parameters: Mapping[str, str]) -> Build:
        """Make a build."""
        self.made.append(parameters)
        return self.get(len(self.made))

    def get(self, number: int) -> Build:
        """Return a build."""
        status, code, _ = self._end(number)
        work = Step(1, 2, "recipe", status, code)
        return Build(number, status, "custom", "", self.made[number - 1], 1.0, 2.0, (work,))

    def latest(self, count: int = 50) -> list[Build]:
        """Return all builds, newest first."""
        return [self.get(number + 1) for number in reversed(range(len(self.made)))][:count]

    def log(self, number: int, step: Step) -> str:
        """Return a build's log."""
        return self._end(number)[2]

    def _end(self, number: int) -> tuple[str, int, str]:
        return self.ends[min(number, len(self.ends)) - 1]


class Gitea:
    """A forge on which the pull request stays as it is."""

    def pull(self, repo: str, pr: int) -> Pull:
        """Return it."""
        return Pull(pr, open=True, head=SHA)


class Bridge:
    """A run that a watcher follows to its end."""

    def __init__(self, store: Store, drone: Drone) -> None:
        self.store, self.drone = store, drone
        self.moved = threading.Event()
        self.watcher = Watcher(
            drone,  # type: ignore[arg-type]
            Gitea(),  # type: ignore[arg-type]
            store,
            check_every=0,
            silence=600,
            start_within=600,
            changed=lambda: None,
            stirred=self.moved.set,
        )

    def ended(self, run: Run = RUN, cancel_in: int = 0) -> tuple[Verdict, Run]:
        """Take a run to its end; cancel_in: before this step."""
        spoken = Spoken(7, "org/shop", 3, "alice", Command.COLD, 1.0)
        made = self.store.decide(spoken, "started", Outbox(run=run))
        assert made is not None
        for step in range(1, 30):
            now = self.store.run(made.id)
            if not now.active:
                return Verdict.of(now.verdict), now
            if step == cancel_in:
                self.store.ask_cancel(now, "alice cancelled it")
            self.moved.clear()
            self.watcher.look("org/shop", 3)
            self.watcher.step()
            assert self.moved.wait(30)
        raise AssertionError("it never ends")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Hand out a store."""
    made = Store(tmp_path / "bridge.sqlite")
    yield made
    made.close()


def bridge(store: Store, *ends: tuple[str, int, str]) -> Bridge:
    """Return a bridge whose builds end so."""
    return Bridge(store, Drone(*ends))


INFRA = {
    "told": ("failure", 16, report("infra")),
    "exit status 16": ("failure", 16, ""),
    "exit status without a meaning": ("failure", 137, ""),
    "pipeline": ("error", 0, ""),
    "another commit": ("success", 0, report("passed", ref="b" * 40)),
    "another lane": ("success", 0, report("passed", lane="quick")),
    "passed in a failed build": ("failure", 1, report("passed")),
    "passed without success": ("success", 0, report("passed", commit_state="error")),
}


@pytest.mark.parametrize("how", INFRA)
def test_trouble_of_our_own_is_tried_twice_in_all_and_is_no_failure(store: Store, how: str) -> None:
    """However it shows: two builds with the same parameters, then an error that blames nobody."""
    tried = bridge(store, INFRA[how])
    verdict, run = tried.ended()
    assert len(tried.drone.made) == 2 and tried.drone.made[0] == tried.drone.made[1]
    assert (verdict.name, verdict.state, run.attempt, run.build) == ("infra", "error", 2, 2)


def test_the_second_attempt_decides(store: Store) -> None:
    """What it tells is told, and nothing of the first is left but that there was one."""
    tried = bridge(store, INFRA["told"], ("success", 0, report("passed", level=5)))
    verdict, run = tried.ended()
    assert (verdict.name, verdict.state, len(tried.drone.made)) == ("passed", "success", 2)
    assert run.attempt == 2 and verdict.report is not None and verdict.report["level"] == 5


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
def test_nothing_else_is_tried_again(
    store: Store, end: tuple[str, int, str], name: str, state: str
) -> None:
    """A verdict on the recipe stands, and what somebody ended stays ended."""
    tried = bridge(store, end)
    verdict, run = tried.ended()
    assert (verdict.name, verdict.state, run.attempt) == (name, state, 1)
    assert len(tried.drone.made) == 1


def test_a_run_that_is_cancelled_is_not_tried_again(store: Store) -> None:
    """Whatever trouble it met before."""
    tried = bridge(store, INFRA["told"])
    verdict, _ = tried.ended(cancel_in=2)
    assert (verdict.name, verdict.text, len(tried.drone.made)) == (
        "cancelled",
        "alice cancelled it",
        1,
    )


def test_the_count_survives_the_bridge(store: Store) -> None:
    """A bridge that is started anew does not try for a third time."""
    tried = bridge(store, INFRA["told"])
    verdict, run = tried.ended(replace(RUN, attempt=2))
    assert (verdict.name, run.attempt, len(tried.drone.made)) == ("infra", 2, 1)
