"""What a snapshot must hold before a backup counts."""

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
    """Return a time as restic prints it, in nanoseconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(T0 + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.123456789Z")


def test_the_newest_snapshot_of_the_stack_is_chosen() -> None:
    """Among snapshots of this backup the newest counts."""
    rows = [snapshot(iso(1), id="old"), snapshot(iso(5), id="new"), snapshot(iso(3), id="mid")]
    assert newest(rows, "st", T0) == "new"


def test_incident_b1_an_older_snapshot_is_no_backup() -> None:
    """B1: success without a new snapshot is a failure that says so."""
    with pytest.raises(RecipeFailure, match=r"no new snapshot of 'st' \(1 older ones\)"):
        newest([snapshot(iso(-60))], "st", T0)


def test_another_stacks_snapshot_does_not_count() -> None:
    """A snapshot belongs to a stack by tag or by path, not by being recent."""
    other = {"id": "x", "time": iso(5), "tags": ["st2"], "paths": ["/v/st2_content/_data"]}
    with pytest.raises(RecipeFailure):
        newest([other], "st", T0)


def test_a_whole_volume_with_files_is_entries() -> None:
    """A folder with something in it is what was expected."""
    entries = [Entry(ROOT, "dir", 0, T0), Entry(f"{ROOT}/a", "file", 1, T0)]
    assert missing([Expected(ROOT, dump=False)], entries, T0) == []


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([], "not in the snapshot"),
        ([Entry(f"{ROOT}/b.sql", "file", 0, T0 + 1)], "is empty"),
        ([Entry(f"{ROOT}/b.sql", "file", 9, T0 - 300)], "300 s older than this backup"),
    ],
)
def test_incident_b1_a_dump_that_is_absent_empty_or_stale_is_named(
    entries: list[Entry], says: str
) -> None:
    """B1: a snapshot without a fresh dump is no backup of a database."""
    (problem,) = missing([Expected(f"{ROOT}/b.sql", dump=True)], entries, T0)
    assert says in problem and "b.sql" in problem


def test_an_empty_folder_is_named() -> None:
    """restic stores an empty path without a word."""
    (problem,) = missing([Expected(ROOT, dump=False)], [Entry(ROOT, "dir", 0, T0)], T0)
    assert "is empty in the snapshot" in problem


def test_the_listing_of_restic_is_read_line_by_line() -> None:
    """The first line describes the snapshot, other lines may be noise."""
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
def test_times_with_nanoseconds_and_zones_are_read(zone: str) -> None:
    """restic prints nanoseconds, and a zone other than Z on some hosts."""
    rows = [snapshot(iso(5).replace("Z", zone))]
    assert newest(rows, "st", T0) == "abc"


def test_a_snapshot_belongs_by_tag_or_by_path() -> None:
    """Either names its stack; versions of the bot differ in which they give."""
    for row in ({"tags": ["st"], "paths": []}, {"tags": [], "paths": [ROOT]}):
        assert newest([{"id": "abc", "time": iso(5), **row}], "st", T0) == "abc"


def test_clocks_may_differ_by_a_moment() -> None:
    """A second before the backup began is rounding, in the snapshot's time and in a dump's."""
    assert newest([snapshot(iso(-1))], "st", T0) == "abc"
    dump = Entry(f"{ROOT}/b.sql", "file", 9, T0 - 1)
    assert missing([Expected(dump.path, dump=True)], [dump], T0) == []


def test_only_a_dump_that_is_a_file_must_not_be_empty() -> None:
    """A folder has no size, and an owner's own file may be empty."""
    entries = [Entry(ROOT, "dir", 0, T0), Entry(f"{ROOT}/empty", "file", 0, T0)]
    assert missing([Expected(ROOT, dump=True)], entries, T0) == []
    assert missing([Expected(f"{ROOT}/empty", dump=False)], entries, T0) == []


class Bot:
    """An engine with a backup bot, whose restic prints these."""

    def __init__(self, *printed: str, status: int = 0, state: str = "running") -> None:
        self.printed, self.status, self.state = list(printed), status, state

    def services(self, filters: object) -> list[dict[str, object]]:
        """List the bot."""
        return [{"Spec": {"Name": "bot"}}]

    def tasks(self, filters: object) -> list[dict[str, object]]:
        """List its task."""
        return [{"Status": {"State": self.state, "ContainerStatus": {"ContainerID": "c"}}}]

    def exec_create(self, container: str, argv: list[str]) -> dict[str, str]:
        """Take restic's words."""
        assert container == "c" and argv[0] == "restic"
        return {"Id": "e"}

    def exec_start(self, made: str, *, demux: bool) -> tuple[bytes, bytes]:
        """Print."""
        return self.printed.pop(0).encode(), b"said"

    def exec_inspect(self, made: str) -> dict[str, int]:
        """Return the status."""
        return {"ExitCode": self.status}


LISTED = json.dumps([snapshot(iso(1), id="0123456789")])
FILE = json.dumps({"path": f"{ROOT}/a", "type": "file", "size": 1, "mtime": iso(1)})


@pytest.mark.parametrize(
    ("bot", "error", "says"),
    [
        (Bot(LISTED, "{}"), RecipeFailure, "snapshot is incomplete: .* not in the snapshot"),
        (Bot(LISTED, FILE, status=1), InfraError, "failed with exit code 1: said"),
        (Bot("oops"), InfraError, "list of snapshots is not JSON"),
        (Bot(LISTED, FILE, state="starting"), InfraError, "no backup bot runs here"),
    ],
)
def test_what_restic_does_not_bear_out_is_no_backup(
    bot: Bot, error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is absent is the recipe's fault; a restic that does not answer is ours."""
    expected = [Expected(f"{ROOT}/a", dump=False)]
    good = Bot(LISTED, FILE)
    monkeypatch.setattr(engine, "client", lambda: good)
    assert verify("st", expected, T0) == "01234567"
    monkeypatch.setattr(engine, "client", lambda: bot)
    with pytest.raises(error, match=says):
        verify("st", expected, T0)
