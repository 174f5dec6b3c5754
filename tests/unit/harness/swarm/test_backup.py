"""What a snapshot must contain before a backup counts."""

import json

import pytest

from harness.errors import InfraError, RecipeFailure
from harness.swarm import engine
from harness.swarm.backup import Entry, Expected, missing, newest, parse_listing, verify

ROOT = "/var/lib/docker/volumes/st_content/_data"
T0 = 1_790_000_000.0


def snapshot(when: str, *, tags: list[str] | None = None, id: str = "abc") -> dict[str, object]:
    """Return one row of `restic snapshots --json`."""
    return {"id": id, "time": when, "tags": tags or ["st"], "paths": [ROOT]}


def iso(seconds: float) -> str:
    """Return T0 plus some seconds as restic prints it, with nanoseconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(T0 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def test_the_newest_snapshot_of_the_stack_is_chosen() -> None:
    rows = [snapshot(iso(1), id="old"), snapshot(iso(5), id="new"), snapshot(iso(3), id="mid")]
    assert newest(rows, "st", T0) == "new"


def test_incident_b1_an_older_snapshot_does_not_count() -> None:
    """B1: the backup reported success but made no new snapshot."""
    with pytest.raises(RecipeFailure, match=r"no new snapshot of 'st' \(1 older ones\)"):
        newest([snapshot(iso(-60))], "st", T0)


def test_another_stacks_snapshot_does_not_count() -> None:
    """Being recent is not enough: tag or path must name the stack."""
    other = {"id": "x", "time": iso(5), "tags": ["st2"], "paths": ["/v/st2_content/_data"]}
    with pytest.raises(RecipeFailure):
        newest([other], "st", T0)


def test_a_volume_with_files_is_complete() -> None:
    entries = [Entry(ROOT, "dir", 0, T0), Entry(f"{ROOT}/a", "file", 1, T0)]
    assert missing([Expected(ROOT, dump=False)], entries, T0) == []


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "not in the snapshot"),
        ([Entry(f"{ROOT}/b.sql", "file", 0, T0 + 1)], "is empty"),
        ([Entry(f"{ROOT}/b.sql", "file", 9, T0 - 300)], "300 s older than this backup"),
    ],
)
def test_incident_b1_a_missing_empty_or_stale_dump_is_named(
    entries: list[Entry], message: str
) -> None:
    """B1: a snapshot without a fresh dump is not a backup of a database."""
    (problem,) = missing([Expected(f"{ROOT}/b.sql", dump=True)], entries, T0)
    assert message in problem and "b.sql" in problem


def test_an_empty_folder_is_named() -> None:
    """restic stores an empty folder without a warning."""
    (problem,) = missing([Expected(ROOT, dump=False)], [Entry(ROOT, "dir", 0, T0)], T0)
    assert "is empty in the snapshot" in problem


def test_the_listing_of_restic_is_parsed_line_by_line() -> None:
    """The first line describes the snapshot; other lines may not be JSON."""
    lines = [
        {"struct_type": "snapshot", "time": iso(0), "paths": [ROOT]},
        {"path": ROOT, "type": "dir", "mtime": iso(0)},
        {"path": f"{ROOT}/a", "type": "file", "size": 3, "mtime": iso(2)},
    ]
    text = "\n".join([*(json.dumps(line) for line in lines), "not json"])
    assert [(h.path, h.kind, h.size) for h in parse_listing(text)] == [
        (ROOT, "dir", 0),
        (f"{ROOT}/a", "file", 3),
    ]


@pytest.mark.parametrize("zone", ["Z", "+00:00"])
def test_times_with_nanoseconds_and_zones_are_parsed(zone: str) -> None:
    """restic prints nanoseconds, and on some hosts a time zone other than Z."""
    rows = [snapshot(iso(5).replace("Z", zone))]
    assert newest(rows, "st", T0) == "abc"


def test_a_snapshot_belongs_to_a_stack_by_tag_or_path() -> None:
    """Versions of the backup bot differ in which of them they set."""
    for row in ({"tags": ["st"], "paths": []}, {"tags": [], "paths": [ROOT]}):
        assert newest([{"id": "abc", "time": iso(5), **row}], "st", T0) == "abc"


def test_times_may_differ_by_a_second() -> None:
    """Rounding can put a snapshot or a dump one second before the beginning of the backup."""
    assert newest([snapshot(iso(-1))], "st", T0) == "abc"
    dump = Entry(f"{ROOT}/b.sql", "file", 9, T0 - 1)
    assert missing([Expected(dump.path, dump=True)], [dump], T0) == []


def test_only_a_dump_that_is_a_file_must_not_be_empty() -> None:
    """A folder has no size, and a file that no hook wrote may be empty."""
    entries = [Entry(ROOT, "dir", 0, T0), Entry(f"{ROOT}/empty", "file", 0, T0)]
    assert missing([Expected(ROOT, dump=True)], entries, T0) == []
    assert missing([Expected(f"{ROOT}/empty", dump=False)], entries, T0) == []


class Bot:
    """A fake engine with a backup bot whose restic prints these."""

    def __init__(self, *outputs: str, exit_code: int = 0, state: str = "running") -> None:
        self.outputs, self.exit_code, self.state = list(outputs), exit_code, state

    def services(self, filters: object) -> list[dict[str, object]]:
        """List the bot."""
        return [{"Spec": {"Name": "bot"}}]

    def tasks(self, filters: object) -> list[dict[str, object]]:
        """List its task."""
        return [{"Status": {"State": self.state, "ContainerStatus": {"ContainerID": "c"}}}]

    def exec_create(self, container: str, argv: list[str]) -> dict[str, str]:
        """Accept only restic."""
        assert container == "c" and argv[0] == "restic"
        return {"Id": "e"}

    def exec_start(self, made: str, *, demux: bool) -> tuple[bytes, bytes]:
        """Return the next output."""
        return self.outputs.pop(0).encode(), b"message"

    def exec_inspect(self, made: str) -> dict[str, int]:
        """Return the exit code."""
        return {"ExitCode": self.exit_code}


LISTED = json.dumps([snapshot(iso(1), id="0123456789")])
FILE = json.dumps({"path": f"{ROOT}/a", "type": "file", "size": 1, "mtime": iso(1)})


@pytest.mark.parametrize(
    ("bot", "error", "message"),
    [
        (Bot(LISTED, "{}"), RecipeFailure, "snapshot is incomplete: .* not in the snapshot"),
        (Bot(LISTED, FILE, exit_code=1), InfraError, "failed with exit code 1: message"),
        (Bot("oops"), InfraError, "list of snapshots is not JSON"),
        (Bot(LISTED, FILE, state="starting"), InfraError, "no backup bot runs here"),
    ],
)
def test_a_backup_that_restic_does_not_confirm_fails(
    bot: Bot, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing path is the recipe's fault; a restic that fails is an infrastructure problem."""
    expected = [Expected(f"{ROOT}/a", dump=False)]
    good = Bot(LISTED, FILE)
    monkeypatch.setattr(engine, "client", lambda: good)
    assert verify("st", expected, T0) == "01234567"
    monkeypatch.setattr(engine, "client", lambda: bot)
    with pytest.raises(error, match=message):
        verify("st", expected, T0)
