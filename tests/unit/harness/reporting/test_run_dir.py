"""Reports in run directories: valid no matter how the run stopped, and replaced atomically."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contract import run_files
from contract.verdicts import Verdict
from harness.reporting import report, run_dir
from harness.reporting.report import Report
from tests.support import event_factory
from tests.support.event_factory import NAMES


def valid(folder: Path) -> Report:
    """Write the reports of a run directory; each can be read. Return the report."""
    found = run_dir.write_all(folder)
    body = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert body["schema"] == report.SCHEMA
    assert body["verdict"] in list(Verdict)
    ElementTree.fromstring((folder / "junit.xml").read_text(encoding="utf-8"))
    assert (folder / "summary.md").read_text(encoding="utf-8").startswith("# ")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_stored_run_gives_three_valid_reports(name: str, tmp_path: Path) -> None:
    shutil.copy(event_factory.STORED / f"{name}.jsonl", tmp_path / "events.jsonl")
    valid(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", *run_files.REPORTS}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_died_anywhere_has_valid_reports(name: str, tmp_path: Path) -> None:
    """After each line and in the middle of each line."""
    content = (event_factory.STORED / f"{name}.jsonl").read_bytes()
    path = tmp_path / "events.jsonl"
    lines = content.splitlines(keepends=True)
    done = b""
    for line in lines:
        for part in (done + line[: len(line) // 2], done + line):
            path.write_bytes(part)
            found = valid(tmp_path)
            if b'"run-finished"' not in part:
                assert found.verdict is not Verdict.PASSED
        done += line


def test_a_run_that_died_before_its_first_event_has_valid_reports(tmp_path: Path) -> None:
    """Only the name of the directory is known."""
    folder = tmp_path / "local-7"
    folder.mkdir()
    found = valid(folder)
    assert (found.run, found.verdict) == ("local-7", "interrupted")


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[1], {"a": None}], True, 1e300, "\ud800"])
def test_events_with_values_of_any_type_give_valid_reports(value: object, tmp_path: Path) -> None:
    """Incident V3."""
    keys = "run recipe ref pr src lane stages version abra notes phase life seconds text stage id"
    keys += " outcome message details fault structural kind path verdict reason how not_applicable"
    data = dict.fromkeys(keys.split(), value)
    names = ["run-started", "phase", "state", "stage-started", "case", "note", "evidence"]
    lines = [json.dumps({**data, "t": 1.0, "event": name}) for name in [*names, "run-finished"]]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert valid(tmp_path).verdict is not Verdict.PASSED


def test_unreadable_lines_are_mentioned_in_a_note(tmp_path: Path) -> None:
    content = (event_factory.STORED / "green.jsonl").read_text()
    (tmp_path / "events.jsonl").write_text("rubbish\n" + content)
    assert any("1 line(s)" in note for note in valid(tmp_path).notes)


def test_reports_are_replaced_atomically(tmp_path: Path) -> None:
    """A reader of the old file keeps the whole old file, and no temporary file is left."""
    shutil.copy(event_factory.STORED / "green.jsonl", tmp_path / "events.jsonl")
    (tmp_path / "report.json").write_text("old")
    with (tmp_path / "report.json").open() as old:
        run_dir.write_all(tmp_path)
        assert old.read() == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk."""
    shutil.copy(event_factory.STORED / "green.jsonl", tmp_path / "events.jsonl")
    (tmp_path / "report.json").write_text("old")

    def full(path: Path, *args: object, **kwargs: object) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        run_dir.write_all(tmp_path)
    assert (tmp_path / "report.json").read_text() == "old"
    assert not list(tmp_path.glob(".*"))
