"""What the database returns is what was stored, also by an earlier version of the bridge."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.model import Command, CommandComment, Outbox, Progress, Result, Run
from bridge.store import Store
from contract.report_line import RunReport
from contract.verdicts import Verdict

SHA = "a" * 40
COMMENT = CommandComment(77, "org/shop", 3, "alice", Command.COLD, 1.0)
REPORT = RunReport.model_validate(
    {
        "run": "17",
        "recipe": "shop",
        "ref": SHA,
        "lane": "cold",
        "verdict": "recipe",
        "commit_state": "failure",
        "stages": [{"name": "lint", "outcome": "pass", "seconds": 1.5}],
    }
)
RUN = Run(
    id=1,
    repo="org/shop",
    pr=3,
    lane="cold",
    recipe="shop",
    sha=SHA,
    requester="alice",
    comment=77,
    accepted=1.0,
    state="done",
    attempt=2,
    last_build_before=16,
    build=17,
    position=2,
    cancel_reason="because",
    note="a note",
    progress=Progress("17", "1.1.0", "1.0.0", ("lint",), {"lint": "pass"}, "lint"),
    result=Result(Verdict.RECIPE, "failure", "no page", REPORT),
    finished=2.0,
    published="failure: the recipe failed",
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    made = Store(tmp_path / "bridge.sqlite")
    yield made
    made.close()


def test_comment_is_recorded_once(store: Store) -> None:
    """The webhook and polling find the same comment; a second time it is not new."""
    comment = replace(COMMENT, created=time.time())
    store.enrol("org/shop", datetime.now(UTC))
    assert store.record_comments("org/shop", [comment], None) == [comment]
    assert store.record_comments("org/shop", [comment], None) == []


@pytest.mark.parametrize("run", [RUN, replace(RUN, build=None, result=None, progress=Progress())])
def test_run_is_returned_as_stored(store: Store, run: Run) -> None:
    made = store.decide(COMMENT, "started", Outbox(run=run))
    assert made == run
    assert store.run(1) == run


def test_updated_run_is_returned_as_stored(store: Store) -> None:
    store.decide(COMMENT, "started", Outbox(run=replace(RUN, build=None, result=None)))
    assert store.update(RUN, build=RUN.build, result=RUN.result) == RUN
    unset = store.update(RUN, build=None, last_build_before=None, result=None)
    assert (unset.build, unset.last_build_before, unset.result) == (None, None, None)
    assert store.builds() == frozenset()


def test_columns_keep_their_format(store: Store, tmp_path: Path) -> None:
    """A database outlives the version that wrote it, so names and JSON keys in it are fixed."""
    store.decide(COMMENT, "started", Outbox(run=RUN))
    with contextlib.closing(sqlite3.connect(tmp_path / "bridge.sqlite")) as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM runs").fetchone())
    progress, verdict = json.loads(row.pop("progress")), json.loads(row.pop("verdict"))
    assert progress == {
        "run": "17",
        "version": "1.1.0",
        "base_version": "1.0.0",
        "stages": ["lint"],
        "outcomes": {"lint": "pass"},
        "now": "lint",
    }
    assert {**verdict, "report": verdict["report"]["run"]} == {
        "name": "recipe",
        "state": "failure",
        "text": "no page",
        "report": "17",
    }
    assert row == {
        "id": 1,
        "repo": "org/shop",
        "pr": 3,
        "lane": "cold",
        "recipe": "shop",
        "sha": SHA,
        "person": "alice",
        "comment": 77,
        "accepted": 1.0,
        "state": "done",
        "attempt": 2,
        "newest": 16,
        "build": 17,
        "place": 2,
        "cancel": "because",
        "note": "a note",
        "ended": 2.0,
        "status": "failure: the recipe failed",
    }
