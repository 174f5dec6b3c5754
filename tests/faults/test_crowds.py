"""Several runs at once: order, capacity, no cross-talk; told by the runs' own events."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.naming import unique
from harness.reporting import events
from tests.faults.conftest import Start
from tests.faults.fault_env import FaultEnv, HeldRun
from tests.support.figures import Part, trial
from tests.support.tiny_recipe import LIVES

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.CONCURRENT
KEPT = ("report.json", "summary.md", "junit.xml")


@pytest.fixture(scope="module")
def more(place: FaultEnv) -> FaultEnv:
    """The place, with three more recipes."""
    for name in ("tiny-a", "tiny-b", "tiny-c"):
        place.recipe(name)
    return place


@pytest.fixture
def slots(tmp_path: Path) -> dict[str, str]:
    """Slots of our own, so that nobody else's run decides who goes first."""
    return {"CCCI_SLOTS_DIR": str(tmp_path / "slots")}


def span(run: HeldRun) -> tuple[float, float]:
    """Return when a run had its slot and its recipe's lock, by its events: unix seconds."""
    found = events.read(run.dir / "events.jsonl").events
    queue = next(e.t for e in found if e.name == "phase" and e.text("phase") == "queue")
    return queue, next(e.t for e in found if e.name == "run-finished")


def tokens(run: HeldRun, ref: str) -> set[str]:
    """Return the names that only this run's apps have."""
    return {unique(life, run.recipe, run.id, "0", ref) for life in LIVES}


def cross_talk(runs: list[HeldRun], refs: dict[str, str]) -> list[str]:
    """Return what a run's reports and logs say of another run."""
    found = []
    for run in runs:
        texts = [run.dir / name for name in KEPT] + list((run.dir / "logs").glob("*"))
        foreign = {
            word
            for other in runs
            if other is not run
            for word in {other.id} | tokens(other, refs[other.id])
        }
        text = "\n".join(path.read_text(errors="replace") for path in texts)
        found += [f"{run.id} speaks of {word}" for word in foreign if word in text]
    return found


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """Return how many of these spans overlap at most."""
    return max(sum(a <= moment < b for a, b in spans) for moment, _ in spans)


def test_incident_c1_two_runs_of_one_recipe_follow_each_other(
    place: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """C1, C3: the second waits, says for whom, and each proves that its own commit ran."""
    older = place.another("tiny")
    with trial(PART, "two runs of one recipe", incidents=("C1", "C3"), times=2) as tried:
        first = start("--stages", "upgrade", **slots)
        first.until_printed("✓ test_base")
        second = start("--stages", "upgrade", ref=older, **slots)
        second.until_printed("waiting for the lock of 'tiny'")
        assert f"held by run {first.id} of tiny" in second.out
        assert (first.end(), second.end()) == (0, 0), first.out + second.out
        refs = {first.id: place.heads["tiny"], second.id: older}
        assert {r.id: r.checked_report().ref for r in (first, second)} == refs
        assert span(first)[1] <= span(second)[0]
        tried.none_lost([*cross_talk([first, second], refs), *first.left(), *second.left()])


def test_two_recipes_run_side_by_side(more: FaultEnv, start: Start, slots: dict[str, str]) -> None:
    """Two different recipes do not wait for each other: their events overlap."""
    with trial(PART, "two recipes", times=2) as tried:
        runs = [start("--stages", "upgrade", recipe=name, **slots) for name in ("tiny-a", "tiny-b")]
        assert [run.end() for run in runs] == [0, 0], runs[0].out + runs[1].out
        spans = [span(run) for run in runs]
        assert most_at_once(spans) == 2
        together = min(end for _, end in spans) - max(begin for begin, _ in spans)
        assert together > 0.5 * max(end - begin for begin, end in spans)
        refs = {run.id: more.heads[run.recipe] for run in runs}
        tried.none_lost([*cross_talk(runs, refs), *(x for run in runs for x in run.left())])


def test_two_recipes_of_one_session_run_side_by_side(
    more: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """With `-n 2` two recipes run at once in one session, and each has a report of its own."""
    with trial(PART, "two recipes with -n 2", times=2) as tried:
        names = ("tiny-a", "tiny-b")
        session = start(
            "-n", "2", "-k", " or ".join(names), "--stages", "install", recipe="", **slots
        )
        assert session.end() == 0, session.out
        spans = []
        for name in names:
            run = session.of(name)
            spans.append(span(run))
            assert run.checked_report().verdict.value == "passed"
            tried.none_lost(run.left())
        assert most_at_once(spans) == 2


def test_six_at_once_are_never_more_than_two(
    more: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """Six runs of three recipes: never more than two inside, one recipe never twice, all green."""
    with trial(PART, "six runs at once", times=6) as tried:
        names = ("tiny-a", "tiny-b", "tiny-c") * 2
        runs = [start("--stages", "install", recipe=name, **slots) for name in names]
        assert [run.end() for run in runs] == [0] * 6, "\n".join(run.out for run in runs)
        assert most_at_once([span(run) for run in runs]) == 2
        for name in set(names):
            first, second = sorted(span(run) for run in runs if run.recipe == name)
            assert first[1] <= second[0]
        waited = [run for run in runs if "waiting for" in run.out]
        assert len(waited) >= 4
        assert all("held by run f" in run.out for run in waited)
        refs = {run.id: more.heads[run.recipe] for run in runs}
        tried.none_lost([*cross_talk(runs, refs), *(x for run in runs for x in run.left())])
