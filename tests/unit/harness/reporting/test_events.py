"""The file of events: what is written can be read again, whatever became of the writer."""

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


def test_what_is_written_is_read_again(path: Path) -> None:
    """Name, time and data survive the file."""
    log = EventLog(path)
    written = log.write("phase", phase="deploy", life="fresh", seconds=1.5)
    assert events.read(path).events == (written,)
    assert written.t > 1_600_000_000


def test_every_event_is_one_line_at_once(path: Path) -> None:
    """A line's end in a text does not end the line; nothing waits in a buffer."""
    log = EventLog(path)
    log.write("note", text="one\ntwo\r\nthree\u2028four")
    assert path.read_bytes().count(b"\n") == 1
    assert events.read(path).events[0].text("text") == "one\ntwo\r\nthree\u2028four"


def test_every_text_is_scrubbed_however_deep(path: Path) -> None:
    """No secret reaches the file: not in lists, not in mappings, not as a key."""
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
    """A value nobody told us to be secret is masked by its key's name, nested too (V4)."""
    EventLog(path).write("note", env={key: "plain"})
    assert (b"plain" not in path.read_bytes()) is masked


def test_a_secret_that_is_no_text_shows_nothing(path: Path) -> None:
    """A wrapped secret is written as its mask."""
    EventLog(path).write("note", value=Secret("hunter2hunter2"))
    assert b"hunter2" not in path.read_bytes()


def test_text_that_is_no_unicode_is_written_all_the_same(path: Path) -> None:
    """Bytes of a program's output that could not be decoded do not end the run."""
    EventLog(path).write("note", text=b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert events.read(path).events[0].text("text") == "caf?"


@pytest.mark.parametrize(
    "tail",
    [b'{"t": 1, "event": "ca', b"{", b'{"t": 1, "event": "note", "text": "caf\xc3'],
)
def test_a_torn_last_line_is_left_out(path: Path, tail: bytes) -> None:
    """What a sudden death left of a line is no event, and not counted as broken."""
    EventLog(path).write("note", text="whole")
    with path.open("ab") as file:
        file.write(tail)
    found = events.read(path)
    assert [event.text("text") for event in found.events] == ["whole"]
    assert (found.unreadable, found.torn) == (0, True)


def test_a_last_line_without_its_end_is_read(path: Path) -> None:
    """Only the line's end is missing: the event is whole."""
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
def test_broken_lines_are_counted_and_left_out(path: Path, line: bytes) -> None:
    """One broken line costs itself and nothing else (V3)."""
    path.write_bytes(b'{"t": 1, "event": "a"}\n' + line + b'\n{"t": 2, "event": "b"}\n')
    found = events.read(path)
    assert [event.name for event in found.events] == ["a", "b"]
    assert found.unreadable == 1


def test_a_missing_file_holds_no_events(path: Path) -> None:
    """A run that died before its first event can be told too."""
    assert events.read(path).events == ()


def test_a_writer_after_a_torn_line_begins_a_new_one(path: Path) -> None:
    """Half a line is not glued to the next event."""
    path.write_bytes(b'{"t": 1, "event": "no')
    EventLog(path).write("note", text="after")
    found = events.read(path)
    assert [event.text("text") for event in found.events] == ["after"]
    assert found.unreadable == 1


def test_two_writers_do_not_mix_their_lines(path: Path) -> None:
    """The file is appended to, line by line, whoever writes."""
    first, second = EventLog(path), EventLog(path)
    for number in range(20):
        (first if number % 2 else second).write("note", text=str(number))
    assert [event.text("text") for event in events.read(path).events] == [str(n) for n in range(20)]


def test_a_full_disk_is_told_and_keeps_what_happened() -> None:
    """A line that cannot be written ends nothing: the trouble is told, the event kept (J2)."""
    log = EventLog(Path("/dev/full"))
    first, second = log.write("note", text="x"), log.write("note", text="y")
    assert re.search(r"cannot record an event in '/dev/full'.*disk full", log.write_error)
    assert log.unwritten == (first, second)


def test_what_a_disk_did_not_take_is_written_when_it_does_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, nothing doubled, the order stays; half a line counts as broken, once."""
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


def test_a_file_that_cannot_be_made_is_trouble_of_ours(tmp_path: Path) -> None:
    """Without a record there is no run."""
    with pytest.raises(InfraError, match=r"cannot record events in '.*': No such file"):
        EventLog(tmp_path / "nowhere" / "events.jsonl")


def test_room_is_set_aside_and_given_back(path: Path) -> None:
    """While a run lives its file owns more of the disk than it shows."""
    log = EventLog(path)
    log.write("note", text="x")
    assert path.stat().st_size < 1_000 < events.RESERVED_SIZE // 2 < path.stat().st_blocks * 512
    log.close()
    assert path.stat().st_blocks * 512 < 16_384


@pytest.mark.parametrize("tail", ["", "\n", '{"t": 3, "event": "ca'])
def test_whether_a_run_is_over_stands_at_the_end_of_its_file(path: Path, tail: str) -> None:
    """A run that died has no such event, one that ended has it last."""
    log = EventLog(path)
    log.write("note", text="x" * 100_000)
    assert not events.is_over(path)
    log.write("run-finished", how="finished", reason="")
    with path.open("a") as file:
        file.write(tail)
    assert events.is_over(path)


def test_a_line_the_disk_takes_in_parts_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    """Whatever was recorded, sums can be made of it."""
    assert Event(0.0, "phase", {"seconds": value}).number("seconds") == number


@pytest.mark.parametrize(
    ("name", "told"),
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
def test_stages_cases_and_the_verdict_are_told_in_the_build_log(name: str, told: bool) -> None:
    """The rest stays in the file."""
    assert (events.marked(Event(1.0, name, {})) is not None) is told


def test_a_marked_line_is_one_short_line_of_ascii() -> None:
    """Nobody finds a line's end in it, and no log of an app either."""
    data = {"id": "a\nb\u2028c", "message": "x" * 9000, "details": "secret log"}
    line = events.marked(Event(1.0, "case", data))
    assert line is not None
    assert line.isascii()
    assert len(line.splitlines()) == 1
    told = json.loads(line.removeprefix(MARKER))
    assert told["event"] == "case"
    assert told["id"] == "a\nb\u2028c"
    assert len(told["message"]) == MAX_TEXT
    assert "details" not in told
