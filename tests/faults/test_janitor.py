"""The janitor while runs start and are killed at random: real processes and flocks, a fake Docker."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host import orphans
from harness.runs import janitor
from harness.settings import Settings
from tests.faults.fake_runs import FakeRun, FakeRuns
from tests.support.figures import Part, trial
from tests.support.lock_holder import settings_below

SEED = int(os.environ.get("FAULTS_SEED", time.time_ns() % 1_000_000))
PART = Part.JANITOR


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    return settings_below(tmp_path)


@pytest.fixture
def runs(here: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuns]:
    """Fake runs, none of them started."""
    # One empty look is enough: these runs start no processes that could be missed between fork and exec.
    monkeypatch.setattr(orphans, "QUIET_TIME", 0.0)
    found = FakeRuns(here, SEED)
    yield found
    found.close()


def sweep_while_runs_change(runs: FakeRuns, chance: random.Random) -> None:
    """Run the janitor once while another thread starts, kills and releases runs."""
    swept = threading.Event()

    def act_at_random() -> None:
        for _ in range(6):
            if not swept.wait(chance.random() * 0.01):
                runs.act()

    actor = threading.Thread(target=act_at_random)
    actor.start()
    try:
        janitor.sweep(
            runs.settings,
            runs.docker,
            own_run="janitor",
            progress=lambda line: None,
            finish=lambda folder: None,
        )
    finally:
        swept.set()
        actor.join()


@pytest.mark.parametrize(
    "rounds", [12, pytest.param(1000, marks=[pytest.mark.faults])], ids=["short", "long"]
)
def test_incident_c2_janitor_spares_live_runs_and_reaps_all_dead_ones(
    runs: FakeRuns, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    with trial(PART, "sweeps while runs start and are killed", incidents=("C2",)) as result:
        result.times, result.note = 0, f"seed {SEED}"
        for _ in range(rounds):
            for _ in range(1 + chance.randrange(6)):
                runs.act()
            runs.settle()
            alive, dead = runs.in_state("alive"), last_dead(runs)
            with result.timed():
                sweep_while_runs_change(runs, chance)
            result.times += 1
            runs.settle()
            result.none_lost([*runs.taken_from(alive), *runs.left_of(dead)])
            runs.delete_old_directories()
        result.note += ": " + ", ".join(f"{n:,} {what}" for what, n in sorted(runs.counts.items()))
    with capsys.disabled():
        sys.stdout.write(f"\n{rounds} rounds, {result.note}; repeat with FAULTS_SEED={SEED}\n")
    assert {"started", "killed", "released"} <= set(runs.counts)


def last_dead(runs: FakeRuns) -> list[FakeRun]:
    """Return the last two hundred dead runs; earlier ones were checked in earlier rounds."""
    return runs.in_state("dead")[-200:]
