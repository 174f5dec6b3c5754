"""Makes the events of a run for tests of reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import plan
from harness.reporting import events, level, verdict
from harness.reporting.events import Event
from harness.reporting.verdict import Judgement

STORED = Path(__file__).parents[1] / "data" / "events"
NAMES = tuple(sorted(path.stem for path in STORED.glob("*.jsonl")))


def stored(name: str) -> list[Event]:
    """Return the events of a stored run."""
    return list(events.read(STORED / f"{name}.jsonl").events)


def started(*stages: str, lane: str = "cold", **more: Any) -> Event:
    """Return the first event of a run; every stage of the lane is planned unless some are named."""
    planned = stages or plan.LANE_STAGES["quick" if lane == "quick" else "cold"]
    data = {"run": "7", "recipe": "custom-html", "ref": "0123abcd" * 5, "lane": lane}
    return Event(100.0, "run-started", {**data, "stages": list(planned), **more})


def case(stage: str, outcome: str = "pass", **more: Any) -> Event:
    """Return the event of a test case; its id is made of stage and outcome unless given."""
    data = {"id": f"test_{stage}_{outcome}", "stage": stage, "outcome": outcome, "seconds": 1.0}
    return Event(101.0, "case", {**data, **more})


def phase(t: float, name: str, seconds: object, life: str | None = "fresh") -> Event:
    """Return the event of a phase that ended at a time."""
    return Event(t, "phase", {"phase": name, "life": life, "seconds": seconds})


def finished(**more: Any) -> Event:
    """Return the last event of a run; it finished normally unless `how` is given."""
    return Event(102.0, "run-finished", {"how": "finished", "reason": "", **more})


def run(*changes: Event, lane: str = "cold", end: Event | None = None) -> list[Event]:
    """Return a whole run in which each stage passed, except those with a case among the changes."""
    start = started(lane=lane)
    changed = {event.data["stage"] for event in changes}
    passed = [case(name) for name in start.data["stages"] if name not in changed]
    return [start, *passed, *changes, end or finished()]


def judge(found: Sequence[Event]) -> Judgement:
    """Judge a run from its events."""
    return verdict.judge(level.gather(found))
