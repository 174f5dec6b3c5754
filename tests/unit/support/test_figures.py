"""Figures of the fault tests: every trial is recorded, passed or failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.settings import CHECKOUT
from tests.support import figures
from tests.support.figures import Part


def test_a_trial_that_fails_is_recorded_with_its_reason(recorded: Path) -> None:
    with pytest.raises(ValueError), figures.trial(Part.SHUTDOWN, "SIGTERM"):
        raise ValueError("no report\nmore")
    (trial,) = figures.load(recorded)
    assert (trial.part, trial.what, trial.failed) == (Part.SHUTDOWN, "SIGTERM", "no report")


def test_leftovers_fail_a_trial_and_are_recorded(recorded: Path) -> None:
    with figures.trial(Part.KILLED, "SIGKILL") as tried:
        tried.none_lost([])
    with (
        pytest.raises(AssertionError, match="left behind after SIGKILL: volume x"),
        figures.trial(Part.KILLED, "SIGKILL") as tried,
    ):
        tried.none_lost(["volume x"])
    assert [trial.lost for trial in figures.load(recorded)] == [[], ["volume x"]]


def test_a_time_above_the_bound_fails_a_trial(recorded: Path) -> None:
    with pytest.raises(AssertionError, match=r"31\.0 s, more than 30 s"):  # noqa: SIM117
        with figures.trial(Part.SHUTDOWN, "SIGTERM", bound=30.0) as tried:
            tried.seconds.append(31.0)
            tried.in_time()


HOOKS = """
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(Part.ATTACKS)

class Second:
    pytest_runtest_makereport = staticmethod(record_cases(Part.BRIDGE, by="test"))

def pytest_configure(config):
    config.pluginmanager.register(Second())
"""
CASES = '''
"""What this folder is about."""

import pytest

def test_incident_l12_holds(record_property):
    """It holds."""
    record_property("times", 41)

def test_does_not():
    assert False

def test_is_not_tried():
    pytest.skip("not here")
'''


def test_each_case_of_a_folder_is_a_trial(recorded: Path, tmp_path: Path) -> None:
    """It counts as often as it says; a failed case is recorded with its name, a skipped one not at all."""
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_cases.py").write_text(CASES)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    own = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, cwd=tmp_path, env=own, capture_output=True, text=True)
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout
    rows = {
        (trial.part, trial.what, tuple(trial.incidents), trial.times, trial.failed)
        for trial in figures.load(recorded)
    }
    assert rows == {
        (Part.ATTACKS, "What this folder is about", ("L12",), 41, ""),
        (Part.ATTACKS, "What this folder is about", (), 1, "test_does_not"),
        (Part.BRIDGE, "holds: It holds", ("L12",), 41, ""),
        (Part.BRIDGE, "does not", (), 1, "test_does_not"),
    }
