"""What is read from containers is bounded, whatever they say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from harness.errors import RecipeFailure
from harness.swarm import containers
from harness.swarm import engine as swarm

SECRET = b"hunter2hunter2"
MEGABYTE = 1024 * 1024


class Answer:
    """The answer that a stream is read from."""

    closed = False

    def close(self) -> None:
        """Note that its socket is closed."""
        self.closed = True


class Stream:
    """Pieces as the SDK streams them; counts how many were taken and whether it was closed."""

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
        """Note that the reader is done."""
        self.closed = True


class Engine:
    """One container whose log, command and files say what they are told to."""

    def __init__(self, pieces: Iterable[object]) -> None:
        self.stream = Stream(pieces)

    def containers(self, **options: object) -> list[dict[str, object]]:
        """List the container."""
        return [{"Id": "c1", "Created": 1}]

    def logs(self, container: str, **options: object) -> Stream:
        """Return the log; one that is followed never ends."""
        assert (options["stream"], options["follow"]) == (True, False)
        return self.stream

    def exec_create(self, container: str, argv: list[str], **options: object) -> dict[str, str]:
        """Make a command."""
        return {"Id": "e1"}

    def exec_start(self, command: str, **options: object) -> Stream:
        """Return its output."""
        return self.stream

    def exec_inspect(self, command: str) -> dict[str, int]:
        """Return how it ended."""
        return {"ExitCode": 0}

    def get_archive(self, container: str, path: str) -> tuple[Stream, dict[str, object]]:
        """Return a file."""
        return self.stream, {}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engine that is asked: put one into the list."""
    chosen: list[Engine] = []
    monkeypatch.setattr(swarm, "client", lambda: chosen[0])
    monkeypatch.setattr(containers, "find", lambda stack, service: "c1")
    return chosen


def log_of(engine: list[Engine], pieces: Iterable[bytes], *, lines: int = 2000) -> list[str]:
    """Return what is read of a log."""
    engine.append(Engine(pieces))
    found = containers.logs("stack", "app", lines=lines)
    assert engine[0].stream.closed and engine[0].stream._response.closed
    return found


def test_a_short_log_is_whole(engine: list[Engine]) -> None:
    """Lines that arrive in pieces are put together."""
    assert log_of(engine, [b"on", b"e\ntwo\n", b"three"]) == ["one", "two", "three"]


def test_bytes_that_are_no_text_are_shown_as_such(engine: list[Engine]) -> None:
    """A binary log is read, not raised."""
    assert log_of(engine, [b"\x00\xff\xfe", b"\x80 end\n"]) == ["\x00\ufffd\ufffd\ufffd end"]


def test_of_a_large_log_the_last_whole_lines_are_kept(engine: list[Engine]) -> None:
    """What is left out is said and the first line kept is a whole one."""
    lines = (b"%07d " % number + b"x" * 1015 + b"\n" for number in range(100_000))
    found = log_of(engine, lines, lines=100_000)
    assert found[0].startswith("(the first ")
    assert {len(line) for line in found[1:]} == {1023}
    assert found[-1].startswith("0099999")
    assert 4 * MEGABYTE - 1024 < sum(map(len, found)) + len(found) < 5 * MEGABYTE + 2048


def test_of_one_endless_line_nothing_is_kept(engine: list[Engine]) -> None:
    """Half a line may hold half a secret, which no redactor knows."""
    pieces = [SECRET + b"x" * (16_384 - len(SECRET))] * 6_400
    (told,) = log_of(engine, pieces)
    assert told == f"(the first {100 * MEGABYTE} bytes are left out)"


def test_a_log_that_grows_as_fast_as_it_is_read_ends(
    engine: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading stops after its time."""
    monkeypatch.setattr(containers, "LOG_TIMEOUT", 0.05)

    def for_ever() -> Iterator[bytes]:
        while True:
            yield b"again\n"

    assert log_of(engine, for_ever())[-1] == "again"


def test_a_command_may_not_say_too_much(engine: list[Engine]) -> None:
    """Output is kept in memory, so it has a bound; both streams count."""
    engine.append(Engine([(b"x" * MEGABYTE, None), (None, b"y" * MEGABYTE)] * 100))
    with pytest.raises(RecipeFailure, match=r"'cat /dev/zero' in service 'app' is larger than"):
        containers.execute("stack", "app", ["cat", "/dev/zero"])
    assert engine[0].stream.taken <= 18
    assert engine[0].stream.closed and engine[0].stream._response.closed


def test_a_command_keeps_its_streams_apart(engine: list[Engine]) -> None:
    """Standard output and error are told apart, in whatever pieces they come."""
    engine.append(Engine([(b"o", None), (None, b"e"), (b"ut", b"rr")]))
    assert containers.execute("stack", "app", ["ls"]) == containers.Output(0, "out", "err")


def test_a_file_may_not_be_too_large(engine: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is kept in memory, so it has a bound."""
    monkeypatch.setattr(containers, "MAX_FILE", 3 * MEGABYTE)
    engine.append(Engine([b"x" * MEGABYTE] * 100))
    with pytest.raises(RecipeFailure, match="'/data' in service 'app' is larger than"):
        containers.read("stack", "app", "/data")
    assert engine[0].stream.taken == 4
