"""The file of events: readable, no matter how its writer stopped."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from contract.marker import MARKER
from contract.report_line import MAX_TEXT
from harness.errors import InfraError
from harness.reporting import events
from harness.reporting.events import Event, EventLog
from harness.secret import Redactor, Secret


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a file of events that does not exist yet."""
    return tmp_path / "events.jsonl"


def test_a_written_event_is_read_back(path: Path) -> None:
    log = EventLog(path)
    written = log.write("phase", phase="deploy", life="fresh", seconds=1.5)
    assert events.read(path).events == (written,)
    assert written.t > 1_600_000_000


def test_every_event_is_one_flushed_line(path: Path) -> None:
    """A line break in a text does not end the line."""
    log = EventLog(path)
    log.write("note", text="one\ntwo\r\nthree\u2028four")
    assert path.read_bytes().count(b"\n") == 1
    assert events.read(path).events[0].text("text") == "one\ntwo\r\nthree\u2028four"


def test_every_text_is_masked_at_any_depth(path: Path) -> None:
    """In lists, in mappings and as a key."""
    redactor = Redactor()
    redactor.learn([Secret("hunter2hunter2")])
    log = EventLog(path, redactor.scrub)
    log.write(
        "note",
        text="it is hunter2hunter2",
        argv=["-x", ("hunter2hunter2",)],
        more={"hunter2hunter2": {"deep": "hunter2hunter2"}},
        path=Path("/tmp/hunter2hunter2"),
    )
    assert b"hunter2" not in path.read_bytes()


@pytest.mark.parametrize(
    ("key", "masked"),
    [
        ("SECRET_KEY_BASE", True),
        ("client_secret", True),
        ("admin_password", True),
        ("GITEA_TOKEN", True),
        ("credentials", True),
        ("api_key", True),
        ("key", True),
        ("keycloak", False),
        ("monkey", False),
        ("seconds", False),
        ("text", False),
    ],
)
def test_values_of_keys_that_name_a_secret_are_masked(path: Path, key: str, masked: bool) -> None:
    """Also a value that was not registered as a secret, and nested values (V4)."""
    EventLog(path).write("note", env={key: "plain"})
    assert (b"plain" not in path.read_bytes()) is masked


def test_a_wrapped_secret_is_written_as_its_mask(path: Path) -> None:
    EventLog(path).write("note", value=Secret("hunter2hunter2"))
    assert b"hunter2" not in path.read_bytes()


def test_text_that_is_not_valid_unicode_is_written(path: Path) -> None:
    """Output of a program that cannot be decoded does not stop the run."""
    EventLog(path).write("note", text=b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert events.read(path).events[0].text("text") == "caf?"


@pytest.mark.parametrize(
    "tail",
    [b'{"t": 1, "event": "ca', b"{", b'{"t": 1, "event": "note", "text": "caf\xc3'],
)
def test_a_torn_last_line_is_left_out(path: Path, tail: bytes) -> None:
    """Half a line after a crash is not an event, and not counted as unreadable."""
    EventLog(path).write("note", text="whole")
    with path.open("ab") as file:
        file.write(tail)
    found = events.read(path)
    assert [event.text("text") for event in found.events] == ["whole"]
    assert (found.unreadable, found.torn) == (0, True)


def test_a_last_line_without_a_line_break_is_read(path: Path) -> None:
    path.write_text('{"t": 1, "event": "note", "text": "whole"}')
    found = events.read(path)
    assert (len(found.events), found.torn) == (1, False)


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1, 2]",
        b"7",
        b"null",
        b'{"event": "note"}',
        b'{"t": 1}',
        b'{"t": "late", "event": "note"}',
        b'{"t": NaN, "event": "note"}',
        b'{"t": 1, "event": "note"} trailing',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
)
def test_unreadable_lines_are_counted_and_left_out(path: Path, line: bytes) -> None:
    """All other lines are read (V3)."""
    path.write_bytes(b'{"t": 1, "event": "a"}\n' + line + b'\n{"t": 2, "event": "b"}\n')
    found = events.read(path)
    assert [event.name for event in found.events] == ["a", "b"]
    assert found.unreadable == 1


def test_a_missing_file_has_no_events(path: Path) -> None:
    """A run that died before its first event has a report too."""
    assert events.read(path).events == ()


def test_an_event_after_a_torn_line_starts_a_new_line(path: Path) -> None:
    path.write_bytes(b'{"t": 1, "event": "no')
    EventLog(path).write("note", text="after")
    found = events.read(path)
    assert [event.text("text") for event in found.events] == ["after"]
    assert found.unreadable == 1


def test_two_writers_do_not_mix_their_lines(path: Path) -> None:
    first, second = EventLog(path), EventLog(path)
    for number in range(20):
        (first if number % 2 else second).write("note", text=str(number))
    assert [event.text("text") for event in events.read(path).events] == [str(n) for n in range(20)]


def test_a_full_disk_sets_write_error_and_keeps_the_events() -> None:
    """A line that cannot be written does not stop the run (J2)."""
    log = EventLog(Path("/dev/full"))
    first, second = log.write("note", text="x"), log.write("note", text="y")
    assert re.search(r"cannot record an event in '/dev/full'.*disk full", log.write_error)
    assert log.unwritten == (first, second)


def test_events_are_written_later_when_the_disk_has_space_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once and in order; half a line is counted as unreadable."""
    log, write = EventLog(path), os.write

    def full(fd: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, bytes(data[: len(data) - 8]))

    log.write("note", text="before")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        log.write("note", text="one")
        log.write("note", text="two")
    log.write("note", text="three")
    found = events.read(path)
    assert [event.text("text") for event in found.events] == ["before", "one", "two", "three"]
    assert log.unwritten == () and log.write_error != ""


def test_a_file_that_cannot_be_created_is_an_infrastructure_error(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match=r"cannot record events in '.*': No such file"):
        EventLog(tmp_path / "nowhere" / "events.jsonl")


def test_space_is_reserved_and_released(path: Path) -> None:
    """While a run goes on its file owns more of the disk than its size."""
    log = EventLog(path)
    log.write("note", text="x")
    assert path.stat().st_size < 1_000 < events.RESERVED_SIZE // 2 < path.stat().st_blocks * 512
    log.close()
    assert path.stat().st_blocks * 512 < 16_384


@pytest.mark.parametrize("tail", ["", "\n", '{"t": 3, "event": "ca'])
def test_the_last_lines_show_whether_a_run_is_over(path: Path, tail: str) -> None:
    """A run that died has no such event, a finished one has it last."""
    log = EventLog(path)
    log.write("note", text="x" * 100_000)
    assert not events.is_over(path)
    log.write("run-finished", how="finished", reason="")
    with path.open("a") as file:
        file.write(tail)
    assert events.is_over(path)


def test_a_line_written_in_parts_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is continued."""
    log, write = EventLog(path), os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data[:7])))
    log.write("note", text="longer than seven bytes")
    assert events.read(path).events[0].text("text") == "longer than seven bytes"


@pytest.mark.parametrize(
    ("value", "number"),
    [(1.5, 1.5), ("2", 2.0), (None, 0.0), ("x", 0.0), ([], 0.0), (1e999, 0.0), ({"a": 1}, 0.0)],
)
def test_a_number_is_always_finite(value: Any, number: float) -> None:
    """Sums can be made of any recorded value."""
    assert Event(0.0, "phase", {"seconds": value}).number("seconds") == number


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("run-started", True),
        ("stage-started", True),
        ("case", True),
        ("run-finished", True),
        ("state", False),
        ("phase", False),
        ("note", False),
        ("evidence", False),
    ],
)
def test_stages_cases_and_the_end_are_in_the_build_log(name: str, public: bool) -> None:
    """The rest stays in the file."""
    assert (events.marked(Event(1.0, name, {})) is not None) is public


def test_a_marked_line_is_one_short_line_of_ascii() -> None:
    """No reader sees a line break in it, and it has no log of an app."""
    data = {"id": "a\nb\u2028c", "message": "x" * 9000, "details": "secret log"}
    line = events.marked(Event(1.0, "case", data))
    assert line is not None
    assert line.isascii()
    assert len(line.splitlines()) == 1
    row = json.loads(line.removeprefix(MARKER))
    assert row["event"] == "case"
    assert row["id"] == "a\nb\u2028c"
    assert len(row["message"]) == MAX_TEXT
    assert "details" not in row
