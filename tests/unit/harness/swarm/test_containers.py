"""Output, logs and files of containers are read within limits; OOM kills are found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from harness.errors import RecipeFailure, TimedOut
from harness.swarm import containers
from harness.swarm import engine as swarm

SECRET = b"hunter2hunter2"
MEGABYTE = 1024 * 1024


class Answer:
    """The HTTP response of a stream."""

    closed = False

    def close(self) -> None:
        """Record that its socket is closed."""
        self.closed = True


class Stream:
    """Pieces as the SDK streams them; records how many were read and whether it was closed."""

    def __init__(self, pieces: Iterable[object]) -> None:
        self._pieces = iter(pieces)
        self.taken, self.closed = 0, False
        self._response = Answer()

    def __iter__(self) -> Iterator[object]:
        """Yield the pieces."""
        for piece in self._pieces:
            self.taken += 1
            yield piece

    def close(self) -> None:
        """Record that it is closed."""
        self.closed = True


class Engine:
    """A fake engine with one container; its log, output and files are the same stream."""

    def __init__(self, pieces: Iterable[object]) -> None:
        self.stream = Stream(pieces)

    def containers(self, **options: object) -> list[dict[str, object]]:
        """List the container."""
        return [{"Id": "c1", "Created": 1}]

    def logs(self, container: str, **options: object) -> Stream:
        """Return the log; following it would never end."""
        assert (options["stream"], options["follow"]) == (True, False)
        return self.stream

    def exec_create(self, container: str, argv: list[str], **options: object) -> dict[str, str]:
        """Create a command."""
        return {"Id": "e1"}

    def exec_start(self, command: str, **options: object) -> Stream:
        """Return its output."""
        return self.stream

    def exec_inspect(self, command: str) -> dict[str, int]:
        """Return its exit code."""
        return {"ExitCode": 0}

    def get_archive(self, container: str, path: str) -> tuple[Stream, dict[str, object]]:
        """Return a file."""
        return self.stream, {}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """An empty list; the first engine that a test puts into it is used."""
    chosen: list[Engine] = []
    monkeypatch.setattr(swarm, "client", lambda: chosen[0])
    monkeypatch.setattr(containers, "find", lambda stack, service: "c1")
    return chosen


def log_of(engine: list[Engine], pieces: Iterable[bytes], *, lines: int = 2000) -> list[str]:
    """Return the lines that are read of a log."""
    engine.append(Engine(pieces))
    found = containers.logs("stack", "app", lines=lines)
    assert engine[0].stream.closed and engine[0].stream._response.closed
    return found


def test_a_short_log_is_complete(engine: list[Engine]) -> None:
    """Lines may arrive in pieces."""
    assert log_of(engine, [b"on", b"e\ntwo\n", b"three"]) == ["one", "two", "three"]


def test_bytes_that_are_not_text_are_replaced(engine: list[Engine]) -> None:
    assert log_of(engine, [b"\x00\xff\xfe", b"\x80 end\n"]) == ["\x00\ufffd\ufffd\ufffd end"]


def test_the_last_whole_lines_of_a_large_log_are_kept(engine: list[Engine]) -> None:
    lines = (b"%07d " % number + b"x" * 1015 + b"\n" for number in range(100_000))
    found = log_of(engine, lines, lines=100_000)
    assert found[0].startswith("(the first ")
    assert {len(line) for line in found[1:]} == {1023}
    assert found[-1].startswith("0099999")
    assert 4 * MEGABYTE - 1024 < sum(map(len, found)) + len(found) < 5 * MEGABYTE + 2048


def test_nothing_is_kept_of_one_endless_line(engine: list[Engine]) -> None:
    """Half a line may contain half a secret, which no redactor recognises."""
    pieces = [SECRET + b"x" * (16_384 - len(SECRET))] * 6_400
    (line,) = log_of(engine, pieces)
    assert line == f"(the first {100 * MEGABYTE} bytes are left out)"


def test_reading_a_log_that_keeps_growing_stops(
    engine: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "LOG_TIMEOUT", 0.05)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"again\n"

    assert log_of(engine, endless())[-1] == "again"


def test_too_much_output_of_a_command_is_an_error(engine: list[Engine]) -> None:
    """Output is kept in memory; both streams count."""
    engine.append(Engine([(b"x" * MEGABYTE, None), (None, b"y" * MEGABYTE)] * 100))
    with pytest.raises(RecipeFailure, match=r"'cat /dev/zero' in service 'app' is larger than"):
        containers.execute("stack", "app", ["cat", "/dev/zero"])
    assert engine[0].stream.taken <= 18
    assert engine[0].stream.closed and engine[0].stream._response.closed


def test_stdout_and_stderr_are_separate(engine: list[Engine]) -> None:
    engine.append(Engine([(b"o", None), (None, b"e"), (b"ut", b"rr")]))
    assert containers.execute("stack", "app", ["ls"]) == containers.Output(0, "out", "err")


def test_a_file_that_is_too_large_is_an_error(
    engine: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is kept in memory."""
    monkeypatch.setattr(containers, "MAX_FILE", 3 * MEGABYTE)
    engine.append(Engine([b"x" * MEGABYTE] * 100))
    with pytest.raises(RecipeFailure, match="'/data' in service 'app' is larger than"):
        containers.read("stack", "app", "/data")
    assert engine[0].stream.taken == 4


def test_a_vanished_container_is_not_an_oom_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swarm may remove a container between listing and inspecting it."""

    def gone(name: str) -> None:
        raise NotFound("gone")

    racing = SimpleNamespace(containers=lambda **options: [{"Id": "c1"}], inspect_container=gone)
    monkeypatch.setattr(swarm, "client", lambda: racing)
    assert containers.oom_kill("stack", host_killed=True) is None


@pytest.mark.usefixtures("moving_clock")
def test_incident_b4_waiting_for_a_container_times_out_with_its_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B4: without a running container an empty value was returned."""
    stopped = SimpleNamespace(tasks=(SimpleNamespace(running=False, state="failed"),))
    view: Any = SimpleNamespace(service=lambda name: stopped)
    monkeypatch.setattr(swarm, "view", lambda stack: view)
    with pytest.raises(TimedOut, match=r"running container of 's_app'; last seen: failed"):
        containers.find("s", "app")
