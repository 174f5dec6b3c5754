"""Several runs at the same time: order, capacity, no cross-talk, by the events of the runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.naming import app_token
from harness.reporting import events
from tests.faults.conftest import Start
from tests.faults.fault_env import FaultEnv, HeldRun
from tests.support.figures import Part, trial
from tests.support.tiny_recipe import LIVES

pytestmark = [pytest.mark.swarm, pytest.mark.faults]
PART = Part.CONCURRENT
REPORTS = ("report.json", "summary.md", "junit.xml")


@pytest.fixture(scope="module")
def four_recipes(fault_env: FaultEnv) -> FaultEnv:
    """The environment, with three more recipes."""
    for name in ("tiny-a", "tiny-b", "tiny-c"):
        fault_env.add_recipe(name)
    return fault_env


@pytest.fixture
def slots(tmp_path: Path) -> dict[str, str]:
    """Settings with slots of their own, so that other runs on this machine do not matter."""
    return {"CCCI_SLOTS_DIR": str(tmp_path / "slots")}


def span(run: HeldRun) -> tuple[float, float]:
    """Return when a run got its slot and its recipe's lock, and when it finished: unix seconds."""
    found = events.read(run.dir / "events.jsonl").events
    queue = next(e.t for e in found if e.name == "phase" and e.text("phase") == "queue")
    return queue, next(e.t for e in found if e.name == "run-finished")


def app_names(run: HeldRun, ref: str) -> set[str]:
    """Return the part of a domain that only this run's apps have, for each life."""
    return {app_token(life, run.recipe, run.id, "0", ref) for life in LIVES}


def cross_talk(runs: list[HeldRun], refs: dict[str, str]) -> list[str]:
    """Return the names of other runs that appear in a run's reports and logs."""
    found = []
    for run in runs:
        texts = [run.dir / name for name in REPORTS] + list((run.dir / "logs").glob("*"))
        others = {
            word
            for other in runs
            if other is not run
            for word in {other.id} | app_names(other, refs[other.id])
        }
        text = "\n".join(path.read_text(errors="replace") for path in texts)
        found += [f"{run.id} mentions {word}" for word in others if word in text]
    return found


def max_overlap(spans: list[tuple[float, float]]) -> int:
    """Return the largest number of spans that overlap."""
    return max(sum(a <= start < b for a, b in spans) for start, _ in spans)


def test_incident_c1_two_runs_of_one_recipe_run_one_after_the_other(
    fault_env: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """C1, C3: the second waits and names the first; each report has its own commit."""
    older = fault_env.commit_on_branch("tiny")
    with trial(PART, "two runs of one recipe", incidents=("C1", "C3"), times=2) as result:
        first = start("--stages", "upgrade", env=slots)
        first.until_printed("✓ test_base")
        second = start("--stages", "upgrade", ref=older, env=slots)
        second.until_printed("waiting for the lock of 'tiny'")
        assert f"held by run {first.id} of tiny" in second.out
        assert (first.wait(), second.wait()) == (0, 0), first.out + second.out
        refs = {first.id: fault_env.heads["tiny"], second.id: older}
        assert {r.id: r.checked_report().ref for r in (first, second)} == refs
        assert span(first)[1] <= span(second)[0]
        result.none_lost(
            [*cross_talk([first, second], refs), *first.leftovers(), *second.leftovers()]
        )


def test_two_recipes_run_side_by_side(
    four_recipes: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    with trial(PART, "two recipes", times=2) as result:
        runs = [
            start("--stages", "upgrade", recipe=name, env=slots) for name in ("tiny-a", "tiny-b")
        ]
        assert [run.wait() for run in runs] == [0, 0], runs[0].out + runs[1].out
        spans = [span(run) for run in runs]
        assert max_overlap(spans) == 2
        together = min(end for _, end in spans) - max(begin for begin, _ in spans)
        assert together > 0.5 * max(end - begin for begin, end in spans)
        refs = {run.id: four_recipes.heads[run.recipe] for run in runs}
        result.none_lost([*cross_talk(runs, refs), *(x for run in runs for x in run.leftovers())])


def test_two_recipes_of_one_session_run_side_by_side(
    four_recipes: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """With `-n 2`; each recipe has its own report."""
    with trial(PART, "two recipes with -n 2", times=2) as result:
        names = ("tiny-a", "tiny-b")
        session = start(
            "-n", "2", "-k", " or ".join(names), "--stages", "install", recipe="", env=slots
        )
        assert session.wait() == 0, session.out
        spans = []
        for name in names:
            run = session.run_of(name)
            spans.append(span(run))
            assert run.checked_report().verdict.value == "passed"
            result.none_lost(run.leftovers())
        assert max_overlap(spans) == 2


def test_at_most_two_of_six_runs_are_active(
    four_recipes: FaultEnv, start: Start, slots: dict[str, str]
) -> None:
    """Six runs of three recipes: never two of one recipe, all green."""
    with trial(PART, "six runs at the same time", times=6) as result:
        names = ("tiny-a", "tiny-b", "tiny-c") * 2
        runs = [start("--stages", "install", recipe=name, env=slots) for name in names]
        assert [run.wait() for run in runs] == [0] * 6, "\n".join(run.out for run in runs)
        assert max_overlap([span(run) for run in runs]) == 2
        for name in set(names):
            first, second = sorted(span(run) for run in runs if run.recipe == name)
            assert first[1] <= second[0]
        waiting = [run for run in runs if "waiting for" in run.out]
        assert len(waiting) >= 4
        assert all("held by run f" in run.out for run in waiting)
        refs = {run.id: four_recipes.heads[run.recipe] for run in runs}
        result.none_lost([*cross_talk(runs, refs), *(x for run in runs for x in run.leftovers())])
