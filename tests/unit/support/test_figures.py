"""The figures of the fault tests: kept whatever happens, and told as a table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.settings import CHECKOUT
from tests.support import figures


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that figures go to."""
    path = tmp_path / "figures.jsonl"
    monkeypatch.setenv(figures.FIGURES, str(path))
    return path


def test_trials_of_one_name_share_a_row(kept: Path) -> None:
    """Times are summed, the median and the slowest are told beside the bound."""
    for seconds in (1.0, 2.0, 9.0):
        with figures.trial("Deaths", "SIGKILL", incidents=("C5",), bound=30.0) as tried:
            tried.seconds.append(seconds)
    told = figures.table(figures.load(kept))
    assert "### Deaths" in told
    assert "| SIGKILL | C5 | 3 | nothing | 2.0 s | 9.0 s | 30 s |" in told


def test_what_was_lost_is_told(kept: Path) -> None:
    """A trial that left something behind fails, and its row names what."""
    with figures.trial("Deaths", "SIGKILL") as tried:
        tried.none_lost([])
    with pytest.raises(AssertionError), figures.trial("Deaths", "SIGKILL") as tried:
        tried.none_lost(["volume x"])
    assert "| SIGKILL |  | 2 | **volume x;" in figures.table(figures.load(kept))


def test_a_trial_that_fails_is_no_success(kept: Path) -> None:
    """What a test did not prove is never told as nothing lost."""
    with pytest.raises(ValueError), figures.trial("Deaths", "SIGTERM"):
        raise ValueError("no report")
    assert "**no report**" in figures.table(figures.load(kept))


def test_the_sum_says_which_was_lost(kept: Path, tmp_path: Path) -> None:
    """Whoever reads the first sentence alone knows it; a bar in a name cuts no cell."""
    document = tmp_path / "reliability.md"
    document.write_text(f"{figures.BEGIN}\n{figures.END}\n")
    with pytest.raises(ValueError), figures.trial("Deaths", "a | b", times=7):
        raise ValueError
    with figures.trial("Deaths", "SIGTERM"):
        pass
    figures.render(kept, document)
    assert "In all 8 trials of 2 kinds; lost: a \\| b." in document.read_text()


def test_beyond_the_bound_is_a_failure(kept: Path) -> None:
    """The bound is held to, not only told."""
    with pytest.raises(AssertionError, match=r"31\.0 s, more than 30 s"):  # noqa: SIM117
        with figures.trial("Deaths", "SIGTERM", bound=30.0) as tried:
            tried.seconds.append(31.0)
            tried.in_time()


def test_the_table_goes_between_the_marks(kept: Path, tmp_path: Path) -> None:
    """The rest of the document stays."""
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n")
    with figures.trial("Deaths", "SIGTERM", times=1000):
        pass
    figures.render(kept, document)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| SIGTERM |  | 1,000 | nothing |" in text
    assert "In all 1,000 trials of 1 kinds; lost: nothing." in text


def test_a_part_that_was_not_tried_again_stays(kept: Path, tmp_path: Path) -> None:
    """A part that was tried is replaced whole; rendering twice changes nothing."""
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{figures.BEGIN}\n{figures.END}\nafter\n")
    for part, what in (("Soak", "a hundred runs"), ("Deaths", "SIGTERM")):
        with figures.trial(part, what):
            pass
    figures.render(kept, document)
    kept.unlink()
    with figures.trial("Deaths", "SIGKILL"):
        pass
    figures.render(kept, document)
    text = document.read_text()
    assert "| a hundred runs |" in text and "SIGTERM" not in text and "| SIGKILL |" in text
    assert "In all 2 trials of 2 kinds; lost: nothing." in text
    figures.render(kept, document)
    assert document.read_text() == text


HOOKS = """
from tests.support import figures

pytest_runtest_makereport = figures.each_case("Modules", figures.of_module)

class Second:
    pytest_runtest_makereport = staticmethod(figures.each_case("Tests", figures.of_test))

def pytest_configure(config):
    config.pluginmanager.register(Second())
"""
CASES = '''
"""What is told of a folder."""

import pytest

def test_incident_l12_holds(record_property):
    """It holds."""
    record_property("times", 41)

def test_does_not():
    """It fails."""
    assert False

def test_is_not_tried():
    pytest.skip("not here")
'''


def test_each_case_of_a_folder_is_a_trial(kept: Path, tmp_path: Path) -> None:
    """It counts as often as it says; a failed one is told by its name, a skipped one not at all."""
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_told.py").write_text(CASES)
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    own = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, cwd=tmp_path, env=own, capture_output=True, text=True)
    assert "1 failed, 1 passed, 1 skipped" in done.stdout, done.stdout
    rows = [
        line
        for line in figures.table(figures.load(kept)).splitlines()
        if "**" in line or "41" in line
    ]
    assert rows == [
        "| What is told of a folder | L12 | 42 | **test_does_not** |",
        "| holds: It holds | L12 | 41 | nothing |",
        "| does not: It fails |  | 1 | **test_does_not** |",
    ]
