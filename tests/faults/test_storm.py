"""The janitor against a crowd of runs: real processes, real flocks, an engine in memory, random moments."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import settings
from harness.host import orphans
from harness.runs import janitor
from harness.settings import Settings
from tests.faults.concurrent_runs import Crowd, Fake
from tests.support.figures import Part, trial

SEED = int(os.environ.get("FAULTS_SEED", time.time_ns() % 1_000_000))
PART = Part.JANITOR


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    names = {"CCCI_LOCK_DIR": "lock", "CCCI_ACTIVE_DIR": "active"}
    names |= {"CCCI_SLOTS_DIR": "slots", "CCCI_RUNS_DIR": "runs"}
    for name in names.values():
        (tmp_path / name).mkdir()
    return settings.load({key: str(tmp_path / name) for key, name in names.items()})


@pytest.fixture
def crowd(here: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crowd]:
    """A crowd of fake runs."""
    monkeypatch.setattr(
        orphans, "QUIET_TIME", 0.0
    )  # a tenth of a second for each death is for real runs
    made = Crowd(here, SEED)
    yield made
    made.close()


def sweep_amid(crowd: Crowd, chance: random.Random) -> None:
    """Run the janitor once while things happen to the crowd."""
    over = threading.Event()

    def stir() -> None:
        for _ in range(6):
            if not over.wait(chance.random() * 0.01):
                crowd.act()

    stirring = threading.Thread(target=stir)
    stirring.start()
    try:
        janitor.sweep(
            crowd.settings,
            crowd.engine,
            own_run="janitor",
            progress=lambda line: None,
            finish=lambda folder: None,
        )
    finally:
        over.set()
        stirring.join()


@pytest.mark.parametrize(
    "rounds", [12, pytest.param(1000, marks=[pytest.mark.faults])], ids=["short", "long"]
)
def test_incident_c2_the_janitor_never_errs(
    crowd: Crowd, rounds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """C2: while runs come, die and go at random moments, no living one is touched, no dead one missed."""
    chance = random.Random(SEED)
    with trial(PART, "sweeps amid runs that come, die and go", incidents=("C2",)) as tried:
        tried.times, tried.note = 0, f"seed {SEED}"
        for _ in range(rounds):
            for _ in range(1 + chance.randrange(6)):
                crowd.act()
            crowd.settle()
            alive, dead = crowd.of("alive"), not_yet_checked(crowd)
            with tried.timed():
                sweep_amid(crowd, chance)
            tried.times += 1
            crowd.settle()
            tried.none_lost([*crowd.wronged(alive), *crowd.missed(dead)])
            crowd.tidy()
        tried.note += ": " + ", ".join(f"{n:,} {what}" for what, n in sorted(crowd.count.items()))
    with capsys.disabled():
        sys.stdout.write(f"\n{rounds} rounds, {tried.note}; repeat with FAULTS_SEED={SEED}\n")
    assert {"started", "killed", "ended well"} <= set(crowd.count)


def not_yet_checked(crowd: Crowd) -> list[Fake]:
    """Return the last two hundred runs that are dead now."""
    return crowd.of("dead")[-200:]
