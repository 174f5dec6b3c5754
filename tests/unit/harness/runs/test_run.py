"""Opening a run: what it has taken and recorded when the fetch fails, and when it succeeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecipeFailure, UsageError
from harness.host import lock
from harness.recipe import git
from harness.reporting import events
from harness.runs import run as opening
from harness.runs.record import Request, RunPlan, RunRecord
from harness.settings import Settings
from harness.suites.suite import Suite
from harness.swarm.abra import Abra

HEAD = "0123abcd" * 5


@pytest.fixture
def record(here: Settings, monkeypatch: pytest.MonkeyPatch) -> RunRecord:
    """The record of a run that has begun, on a host without leftovers."""
    monkeypatch.setenv("CCCI_RUN", "")
    monkeypatch.setattr(opening, "sweep", lambda settings, run_id, progress: None)
    monkeypatch.setattr(Abra, "version", lambda self: "0.13.0")
    plan = RunPlan("hello", Suite(), stages=("lint", "cleanup"), cases=("test_lint",))
    return RunRecord.begin(here, Request(ref=HEAD, pr="3"), plan, "7", lambda line: None)


def fetch(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> None:
    """Let the fetch make an empty checkout, or fail."""

    def fetched(source: str, ref: str, folder: Path, *, upstream_url: str) -> None:
        if error is not None:
            raise error
        folder.mkdir(parents=True)

    monkeypatch.setattr(git, "fetch_checkout", fetched)
    monkeypatch.setattr(opening, "head_version", lambda checkout: "1.0.0+1")


def start_of(record: RunRecord) -> dict[str, Any]:
    """Return what the run recorded about itself at its start."""
    found = events.read(record.dir / "events.jsonl").events
    (start,) = [event for event in found if event.name == "run-started"]
    return dict(start.data)


def is_free(here: Settings) -> bool:
    """Return True if neither a slot nor the recipe's lock is held."""
    paths = [lock.recipe_lock(here, "hello"), here.slots_dir / "1", here.slots_dir / "2"]
    return not any(lock.is_held(path) for path in paths)


def test_an_open_run_holds_slot_and_lock_until_its_record_is_closed(
    here: Settings, record: RunRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch(monkeypatch)
    base = opening.Base("b" * 40, "0.9.0+1")
    monkeypatch.setattr(opening, "choose_base", lambda checkout, ref: base)
    with record:
        run = opening.open_run(record)
        assert (run.ref, run.base, run.recipe) == (HEAD, base, "hello")
        assert not is_free(here)
    assert is_free(here)
    start = start_of(record)
    assert (start["ref"], start["version"], start["base_version"]) == (HEAD, "1.0.0+1", "0.9.0+1")
    assert start["abra"] == "0.13.0"


@pytest.mark.parametrize("error", [UsageError("no such commit"), RecipeFailure("too many files")])
def test_a_run_that_fails_in_the_fetch_leaves_a_report(
    here: Settings, record: RunRecord, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report has the requested commit; closing the record releases slot and lock."""
    fetch(monkeypatch, error)
    with record, pytest.raises(type(error), match=str(error)):
        opening.open_run(record)
    assert is_free(here)
    start = start_of(record)
    assert (start["ref"], start["pr"], start["planned"]) == (HEAD, "3", ["test_lint"])
    assert (start["abra"], start["base_version"]) == ("", None)
    assert (record.dir / "report.json").exists() and not record.abra_dir.exists()


def test_a_second_close_does_nothing(record: RunRecord) -> None:
    """A signal may interrupt the session while it closes a run; it closes it again at its end."""
    record.close()
    before = (record.dir / "events.jsonl").read_bytes()
    record.close()
    assert (record.dir / "events.jsonl").read_bytes() == before
