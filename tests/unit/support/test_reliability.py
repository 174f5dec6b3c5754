"""The documents of the fault tests: the long table, and the short one in docs/reliability.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import reliability
from tests.support import figures
from tests.support.figures import Part, trial

ROOT = Path(__file__).resolve().parents[3]
MAX_LINES = 60


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A document with marks and old figures."""
    path = tmp_path / "reliability.md"
    path.write_text(f"before\n{reliability.BEGIN}\nold\n{reliability.END}\nafter\n")
    return path


def table(recorded: Path) -> str:
    """Return the long table of a file of figures."""
    return reliability.table(figures.load(recorded))


def test_trials_of_one_name_share_a_row(recorded: Path) -> None:
    """Their number is summed; median and slowest time are beside the bound."""
    for seconds in (1.0, 2.0, 9.0):
        with trial(Part.KILLED, "SIGKILL", incidents=("C5",), bound=30.0) as tried:
            tried.seconds.append(seconds)
    text = table(recorded)
    assert "### Killed processes" in text
    assert "| SIGKILL | C5 | 3 | nothing | 2.0 s | 9.0 s | 30 s |" in text


def test_a_row_names_what_was_lost(recorded: Path) -> None:
    with trial(Part.KILLED, "SIGKILL"):
        pass
    with pytest.raises(AssertionError), trial(Part.KILLED, "SIGKILL") as tried:
        tried.none_lost(["volume x"])
    assert "| SIGKILL |  | 2 | **volume x; SIGKILL: left behind" in table(recorded)


def test_a_failed_trial_is_never_shown_as_nothing_lost(recorded: Path) -> None:
    with pytest.raises(ValueError), trial(Part.SHUTDOWN, "SIGTERM"):
        raise ValueError("no report")
    assert "**SIGTERM: no report**" in table(recorded)


def test_the_first_sentence_says_what_was_lost(recorded: Path, document: Path) -> None:
    """Also for a name with a bar, which must not cut a cell."""
    with pytest.raises(ValueError), trial(Part.KILLED, "a | b", times=7):
        raise ValueError
    with trial(Part.SHUTDOWN, "SIGTERM"):
        pass
    reliability.write_document(recorded, document)
    text = document.read_text()
    assert "In all 8 trials of 2 kinds; lost: a \\| b: ValueError." in text


def test_the_short_table_goes_between_the_marks(recorded: Path, document: Path) -> None:
    with trial(Part.KILLED, "SIGKILL", times=1000):
        pass
    reliability.write_document(recorded, document)
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert f"| {Part.KILLED} | SIGKILL | 1 | 1,000 | nothing |  |  |" in text
    assert "In all 1,000 trials of 1 kinds; lost: nothing." in text


def test_kinds_of_one_area_and_bound_share_a_row(recorded: Path, document: Path) -> None:
    for what, bound, seconds in (("a", 30.0, 2.0), ("b", 30.0, 4.0), ("c", 60.0, 1.0)):
        with trial(Part.KILLED, what, bound=bound) as tried:
            tried.seconds.append(seconds)
    reliability.write_document(recorded, document)
    text = document.read_text()
    assert f"| {Part.KILLED} | a; b | 2 | 2 | nothing | 4.0 s | 30 s |" in text
    assert f"| {Part.KILLED} | c | 1 | 1 | nothing | 1.0 s | 60 s |" in text


def test_areas_that_were_not_tried_again_stay(recorded: Path, document: Path) -> None:
    """The rows of an area that was tried are replaced; writing twice changes nothing."""
    for part, what in ((Part.SOAK, "a hundred runs"), (Part.KILLED, "SIGTERM")):
        with trial(part, what):
            pass
    reliability.write_document(recorded, document)
    recorded.unlink()
    with trial(Part.KILLED, "SIGKILL"):
        pass
    reliability.write_document(recorded, document)
    text = document.read_text()
    assert "| a hundred runs |" in text and "SIGTERM" not in text and "| SIGKILL |" in text
    assert "In all 2 trials of 2 kinds; lost: nothing." in text
    reliability.write_document(recorded, document)
    assert document.read_text() == text


def test_a_document_without_marks_is_refused(recorded: Path, document: Path) -> None:
    document.write_text("no marks\n")
    with pytest.raises(SystemExit, match="has no marks for the figures"):
        reliability.write_document(recorded, document)


def test_the_committed_document_is_short_and_complete() -> None:
    """Every area has a row, and all of it is read in a minute."""
    text = (ROOT / "docs" / "reliability.md").read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert [part for part in Part if f"\n| {part} | " not in text] == []
