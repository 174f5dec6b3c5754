"""No secret of a run leaves it, in whatever dress; and what is found all the same is told and masked."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import time
import urllib.parse
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from harness import events, leak, report, settings, terminal, told
from harness.collect import Place, Suite
from harness.outcome import Outcome
from harness.plan import GENERIC
from harness.run import Request, Run
from harness.secret import MASK, Redactor, Secret
from harness.suite_settings import SuiteSettings
from harness.verdict import Verdict
from tests.guards.real import Real

PLAIN = "hunter2hunter2XYZ"
TRICKY = 'p@ss w0rd/+&<"é%\\>?>?~~ÿ'
KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7v4\nq83kZlZzPp0Tn+/aa==\n-----END KEY-----"


def inside(before: int, encode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    """Return a dress that encodes the value within a longer text, so many bytes from its start."""
    return lambda value: encode(b"x" * before + value.encode() + b" and more").decode()


def without_padding(raw: bytes) -> bytes:
    """Return base64 as it stands in tokens."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def lower_hex(value: str) -> str:
    """Return the value URL-encoded with small hex digits."""
    return "".join(c if c.isalnum() and c.isascii() else _small(c) for c in value)


def _small(c: str) -> str:
    return urllib.parse.quote(c, safe="").lower()


def wrapped(value: str) -> str:
    """Return base64 of a longer text as `base64` prints it, in lines of 76 characters."""
    return base64.encodebytes(b"y" * 40 + value.encode() + b" and more").decode()


DRESSES: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "quoted": lambda value: f"<{value}>",
    **{f"base64-at-{n}": inside(n, base64.b64encode) for n in range(3)},
    **{f"base64url-at-{n}": inside(n, base64.urlsafe_b64encode) for n in range(3)},
    **{f"base64-unpadded-at-{n}": inside(n, without_padding) for n in range(3)},
    "base64-alone": lambda value: base64.b64encode(value.encode()).decode(),
    "base64-in-lines": wrapped,
    "url": lambda value: urllib.parse.quote(value, safe=""),
    "url-with-slashes": urllib.parse.quote,
    "url-with-plus": urllib.parse.quote_plus,
    "url-small": lower_hex,
    "url-of-a-form": lambda value: urllib.parse.quote_plus(value, safe='/&<"'),
    "url-twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "url-whole": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "json": lambda value: json.dumps({"a": value}),
    "json-unicode": lambda value: json.dumps({"a": value}, ensure_ascii=False),
    "json-twice": lambda value: json.dumps(json.dumps({"a": value})),
    "xml": lambda value: escape(value, {'"': "&quot;"}),
    "hex": lambda value: value.encode().hex(),
    "hex-capitals": lambda value: value.encode().hex().upper(),
    "hex-apart": lambda value: value.encode().hex(":"),
    "utf-16": lambda value: value.encode("utf-16-le").decode("latin-1"),
}
VALUES = {"plain": PLAIN, "tricky": TRICKY, "key": KEY}


def knowing(*values: str) -> Redactor:
    """Return a redactor that knows these values."""
    made = Redactor()
    made.learn([Secret(value) for value in values])
    return made


def as_bytes(dress: str, text: str) -> bytes:
    """Return a dressed text as it stands in a file."""
    return text.encode("latin-1" if dress == "utf-16" else "utf-8")


# %% Every form


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dress", DRESSES)
def test_a_secret_is_masked_in_every_dress(dress: str, value: str) -> None:
    """Whatever encodes a value, nothing of it is left, and what stands around it stays."""
    redactor = knowing(VALUES[value])
    data = b"before " + as_bytes(dress, DRESSES[dress](VALUES[value])) + b" after"
    masked = redactor.mask(data)
    assert redactor.leaks(data) and not redactor.leaks(masked)
    assert masked.startswith(b"before ") and masked.endswith(b" after")
    assert MASK.encode() in masked
    assert not [part for part in pieces(dress, VALUES[value]) if part in masked]


def pieces(dress: str, value: str) -> list[bytes]:
    """Return every eight bytes of a value's own part of its dress; what holds none tells nothing."""
    alone = as_bytes(dress, DRESSES[dress](value))
    around = {as_bytes(dress, DRESSES[dress](c * len(value.encode()))) for c in "ab"}
    parts = {alone[i : i + 8] for i in range(len(alone) - 7)}
    return [part for part in parts if not any(part in other for other in around)]


@pytest.mark.parametrize("value", VALUES)
def test_each_line_of_a_secret_is_a_secret(value: str) -> None:
    """A log prints a key line by line, with its own words before each."""
    redactor = knowing(VALUES[value])
    text = "\n".join(f"12:00 db | {line}" for line in VALUES[value].splitlines())
    assert not redactor.leaks(redactor.scrub(text))
    assert redactor.scrub(text).count(MASK) == len(VALUES[value].splitlines())


def test_ordinary_text_is_left_alone() -> None:
    """Without a secret in it, a text is the same object: nothing was copied, nothing changed."""
    redactor = knowing(*VALUES.values())
    for text in (
        "",
        "w0rd",
        "hunter2",
        "BEGIN KEY",
        "base64 aHVudGVy",
        "100%",
        "a\nb\r\nc",
        "\ud800",
    ):
        assert redactor.scrub(text) == text and not redactor.leaks(text)


@pytest.mark.parametrize("value", ["12345", "", " abc ", "install", "Passed", "fail"])
def test_a_weak_secret_is_not_masked(value: str) -> None:
    """Under six characters, or a word of the reports: masking it would leave no report."""
    redactor = Redactor(words=("install", "passed", "fail"))
    redactor.learn([Secret(value)])
    assert redactor.is_weak(Secret(value))
    assert redactor.scrub(f"it is {value} here") == f"it is {value} here"


def test_looking_takes_a_time_that_grows_with_the_text_alone(tmp_path: Path) -> None:
    """A log of 20 MB with five secrets is looked through in seconds, also one that is all one line."""
    redactor = knowing(*(f"{PLAIN}{number}/+é" for number in range(5)))
    line = b"12:00 INFO request GET /api/v1/items?id=42 answered 200 in 7 ms"
    (tmp_path / "lines.log").write_bytes((line + b"\n") * 160_000)
    (tmp_path / "line.log").write_bytes(line * 160_000)
    start = time.process_time()
    assert leak.scan(tmp_path, redactor) == ()
    assert time.process_time() - start < 10.0


# %% Files


@pytest.mark.parametrize("dress", DRESSES)
def test_the_scan_finds_and_masks_what_a_file_holds(dress: str, tmp_path: Path) -> None:
    """A file with a secret is named and masked in place, for whoever has it open."""
    path = tmp_path / "logs" / "app.log"
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000 + as_bytes(dress, DRESSES[dress](TRICKY)) + b"y" * 5000)
    (tmp_path / "clean.txt").write_text("nothing here")
    inode = path.stat().st_ino
    (found,) = leak.scan(tmp_path, knowing(TRICKY))
    assert (found.path, found.why) == ("logs/app.log", "masked")
    assert not knowing(TRICKY).leaks(path.read_bytes()) and path.stat().st_ino == inode
    assert leak.scan(tmp_path, knowing(TRICKY)) == ()


def test_a_secret_between_two_pieces_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is read in pieces; what lies across the border of two is seen."""
    monkeypatch.setattr(leak, "PIECE", 1024)
    for start in range(1024 - len(PLAIN), 1025):
        (tmp_path / f"{start}.log").write_text("x" * start + PLAIN + "y" * 3000)
    found = leak.scan(tmp_path, knowing(PLAIN))
    assert len(found) == len(PLAIN) + 1


def zipped(name: str, data: bytes) -> bytes:
    """Return a zip archive of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def tarred(name: str, data: bytes, mode: str = "w:gz") -> bytes:
    """Return a tar archive of one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


ARCHIVES: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": lambda data: zipped("trace.txt", data),
    "tar": lambda data: tarred("trace.txt", data, "w"),
    "tar.gz": lambda data: tarred("trace.txt", data),
    "zip in tar.gz": lambda data: tarred("trace.zip", zipped("a", data)),
    "gz in gz": lambda data: gzip.compress(gzip.compress(data)),
    "gz in tar": lambda data: tarred("trace.gz", gzip.compress(data), "w"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_with_a_secret_is_not_kept(kind: str, tmp_path: Path) -> None:
    """Archives are looked into, also within each other; a clean one stays as it is."""
    noise = bytes(range(256)) * 40
    (tmp_path / "bad").write_bytes(ARCHIVES[kind](noise + PLAIN.encode() + noise))
    (tmp_path / "good").write_bytes(ARCHIVES[kind](noise))
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == "bad" and "archive that held a secret" in found.why
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(os.urandom(5000))[:-900], "broken archive"),
        (zipped("a", b"b" * 50)[:-30], "not a zip file"),
        (gzip.compress(bytes(3_000_000)), "unpacks to more than"),
        (zipped("a", bytes(3_000_000)), "unpacks to more than"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x"))))), "within"),
    ],
    ids=["torn gz", "torn zip", "endless gz", "endless zip", "too deep"],
)
def test_what_nobody_can_look_into_is_not_kept(
    data: bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken or endless archive could hold anything, so it goes, and is named."""
    monkeypatch.setattr(leak, "MOST_UNPACKED", 1_000_000)
    (tmp_path / "closed").write_bytes(data)
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == "closed" and why in found.why
    assert not (tmp_path / "closed").exists()


def test_links_and_pipes_are_not_kept(tmp_path: Path) -> None:
    """What is no ordinary file would be read elsewhere, or for ever."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "run"
    elsewhere.write_text(PLAIN)
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    found = leak.scan(folder, knowing(PLAIN))
    assert sorted(item.path for item in found) == ["folder", "link", "pipe"]
    assert list(folder.iterdir()) == [] and elsewhere.read_text() == PLAIN


def test_a_name_is_looked_at_too(tmp_path: Path) -> None:
    """A secret in a file's name is no better; the finding does not repeat it."""
    (tmp_path / f"dump-{PLAIN}.sql").write_text("nothing")
    (found,) = leak.scan(tmp_path, knowing(PLAIN))
    assert found.path == f"dump-{MASK}.sql" and list(tmp_path.iterdir()) == []


def test_abras_own_data_is_no_part_of_what_is_kept(tmp_path: Path) -> None:
    """A kept app's env file is there on purpose, in a folder that its run's end removes."""
    (tmp_path / "abra").mkdir()
    (tmp_path / "abra" / "app.env").write_text(PLAIN)
    assert leak.scan(tmp_path, knowing(PLAIN)) == ()
    assert (tmp_path / "abra" / "app.env").read_text() == PLAIN


# %% A run


class Watched:
    """A run with its directory and the lines it printed, without anything deployed."""

    def __init__(self, folder: Path) -> None:
        self.printed: list[str] = []
        found = settings.load({"CCCI_RUNS_DIR": str(folder), "CCCI_SETTINGS": "/dev/null"})
        self.run = Run(
            settings=found,
            request=Request(ref="0123abcd" * 5),
            recipe="custom-html",
            id="7",
            suite=Suite(),
            suite_settings=SuiteSettings(),
            stages=("install", "cleanup"),
            console=self.printed.append,
        )
        self.run.start_record()
        planned = ["install", "cleanup"]
        self.run.telling.tell(
            "run-started", run="7", recipe="custom-html", lane="cold", stages=planned
        )
        self.run.telling.redactor.learn([Secret(value) for value in VALUES.values()])

    def passes(self, step: str, **more: str) -> None:
        """Let a step of the lifecycle pass."""
        outcome = Outcome("pass", **more)
        self.run.telling.case(step, Place("custom-html", GENERIC[step]), outcome, seconds=0.1)

    def fails(self, step: str, message: str, details: str) -> None:
        """Let a step of the lifecycle fail."""
        outcome = Outcome("fail", "recipe", message, details)
        self.run.telling.case(step, Place("custom-html", GENERIC[step]), outcome, seconds=0.1)

    def closed(self) -> report.Report:
        """Close the run and return its report."""
        self.run.close()
        return report.read(self.run.dir)

    def leaving(self) -> dict[str, bytes]:
        """Return every byte that leaves the run, by file; the printed lines too."""
        files = {p.name: p.read_bytes() for p in self.run.dir.rglob("*") if p.is_file()}
        return {**files, "printed": "\n".join(self.printed).encode()}


def clean_run(folder: Path) -> Watched:
    """Return a run in which everything passed."""
    made = Watched(folder)
    made.passes("test_install")
    made.passes("test_leave_no_trace")
    return made


def test_a_run_says_that_no_secret_leaked(tmp_path: Path) -> None:
    """The last look stands in report.json, JUnit, summary, at the terminal and in the told line."""
    run = clean_run(tmp_path)
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.PASSED, True)
    files = run.leaving()
    assert json.loads(files["report.json"])["no_secret_leak"] is True
    assert b'name="no_secret_leak" value="true"' in files["junit.xml"]
    words = "no secret of the run stands in any of its files"
    assert words in files["summary.md"].decode().replace("\\", "")
    assert words in terminal.summary(found, run.run.dir)
    assert json.loads(told.line(found).removeprefix(events.MARK))["no_secret_leak"] is True


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dress", [name for name in DRESSES if name != "utf-16"])
def test_nothing_a_run_tells_holds_a_secret(
    dress: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages, details, notes, states and names are masked in every file and every printed line."""
    monkeypatch.setenv("DRONE", "true")
    run, text = Watched(tmp_path), DRESSES[dress](VALUES[value])
    run.fails("test_install", f"it said {text}", f"one\ntwo {text}\nthree")
    run.run.telling.note(f"noted {text}")
    run.run.telling.say(f"said {text}")
    run.run.telling.events.write(
        "evidence", kind="log", path=f"logs/{text}", more={text: [text, {text: text}]}
    )
    run.passes("test_leave_no_trace")
    found = run.closed()
    assert found.no_secret_leak is True
    redactor = knowing(VALUES[value])
    assert [name for name, data in run.leaving().items() if redactor.leaks(data)] == []
    assert "run-report" in run.printed[-1]
    assert MASK in "\n".join(run.printed) and MASK.encode() in run.leaving()["report.json"]


def test_a_leak_makes_the_run_not_green_and_names_the_file(tmp_path: Path) -> None:
    """A file that a suite wrote behind our back is found, masked, named; its value is nowhere."""
    run = clean_run(tmp_path)
    (run.run.dir / "logs").mkdir()
    (run.run.dir / "logs" / "trace.txt").write_text(f"token={PLAIN}")
    (run.run.dir / "trace.zip").write_bytes(zipped("a", PLAIN.encode()))
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.INFRA, False)
    assert found.leaks == (
        "logs/trace.txt (masked)",
        "trace.zip (an archive that held a secret, removed)",
    )
    assert "logs/trace.txt" in found.reason and found.verdict.exit_status == 16
    files = run.leaving()
    body = json.loads(files["report.json"])
    assert body["no_secret_leak"] is False and body["leaks"] == list(found.leaks)
    assert b"A SECRET WAS FOUND" in files["summary.md"]
    assert "A SECRET WAS FOUND" in terminal.summary(found, run.run.dir)
    assert [name for name, data in files.items() if knowing(PLAIN).leaks(data)] == []


def test_what_somebody_else_wrote_into_the_events_is_gone(tmp_path: Path) -> None:
    """The events are the source of every report, so what the harness did not write there is taken out."""
    run = clean_run(tmp_path)
    with (run.run.dir / "events.jsonl").open("a") as file:
        file.write(json.dumps({"t": 1.0, "event": "note", "text": f"a {PLAIN} b"}) + "\n")
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.SUITE, True)
    assert "something else than the harness wrote" in found.reason
    assert [name for name, data in run.leaving().items() if knowing(PLAIN).leaks(data)] == []
    assert events.read(run.run.dir / "events.jsonl")[-1].name == "run-finished"


def test_a_printed_line_with_a_secret_is_masked_and_counts(tmp_path: Path) -> None:
    """The last stop before the console masks what nobody masked before, and makes the run not green."""
    run = clean_run(tmp_path)
    run.run.telling._print(f"straight through: {PLAIN}")
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.INFRA, False)
    assert run.printed[-1] == f"straight through: {MASK}" and "the output" in found.reason


def test_a_red_run_with_a_leak_stays_red(tmp_path: Path) -> None:
    """A leak does not excuse the recipe; both are told."""
    run = Watched(tmp_path)
    run.fails("test_install", "no", "")
    run.passes("test_leave_no_trace")
    (run.run.dir / "x").write_text(PLAIN)
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.RECIPE, False)


def test_a_weak_secret_of_the_run_changes_no_stage(tmp_path: Path) -> None:
    """A secret that is a word of the reports, or the recipe's name, leaves the report whole."""
    run = clean_run(tmp_path)
    words = [
        Secret(word) for word in ("install", "cleanup", "custom-html", "run-started", "passed")
    ]
    run.run.telling.redactor.learn(words)
    assert all(run.run.telling.redactor.is_weak(word) for word in words)
    assert run.closed().verdict is Verdict.PASSED


def test_a_killed_run_says_that_nobody_looked_and_keeps_what_it_masked_itself(
    tmp_path: Path,
) -> None:
    """The janitor knows no secret: it keeps what the run wrote, removes the rest, and says so."""
    run = Watched(tmp_path)
    run.passes("test_install")
    folder = run.run.dir
    (folder / "abra").mkdir()
    (folder / "logs").mkdir()
    (folder / "logs" / "fresh-app.log").write_text("masked already")
    run.run.telling.events.write("evidence", kind="log", path="logs/fresh-app.log")
    (folder / "trace.txt").write_text(PLAIN)
    (folder / "link").symlink_to("/etc/passwd")
    report.finish_dead(folder)
    found = report.read(folder)
    assert (found.verdict, found.no_secret_leak) == (Verdict.INTERRUPTED, None)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ("events.jsonl", "junit.xml", "logs", "report.json", "summary.md")
    )
    assert "nobody can say whether it holds a secret" in "\n".join(found.notes)
    assert json.loads((folder / "report.json").read_text())["no_secret_leak"] is None
    assert "no last look for secrets" in (folder / "summary.md").read_text()


# %% Names of keys


@pytest.mark.parametrize(
    "key", ["SECRET_KEY_BASE", "DB_PASSWORD", "api-token", "credentials", "SSH_KEY", "Key"]
)
def test_incident_v4_values_of_keys_that_name_a_secret_are_masked_in_every_format(
    key: str, tmp_path: Path
) -> None:
    """V4: a value that nobody told us to be secret is masked by its key's name, however deep."""
    run = clean_run(tmp_path)
    manifest = {"services": [{"app": {"environment": {key: "s3cr3tvalue", "other": "shown"}}}]}
    run.run.telling.events.write(
        "evidence", kind="manifest", path="x", manifest=manifest, **{key: "s3cr3tvalue"}
    )
    run.closed()
    files = run.leaving()
    assert b"shown" in files["events.jsonl"] and MASK.encode() in files["events.jsonl"]
    assert [name for name, data in files.items() if b"s3cr3tvalue" in data] == []


# %% On the real Swarm

LEAKY = '''"""miniflux, by somebody who keeps too much."""
import base64, gzip, os
from pathlib import Path
import pytest
from harness import App, Run, check

@check
def the_reader_can_sign_in(app: App) -> None:
    assert app.get("/v1/me", auth=("admin", app.secret("admin_pass").reveal())).json()

@pytest.mark.functional
def test_that_keeps_what_it_saw(run: Run, app: App) -> None:
    values = [app.secret(name).reveal() for name in ("admin_pass", "db_password")]
    Path(os.environ["GUARD_VALUES"]).write_text("\\n".join(values))
    (run.dir / "trace.txt").write_bytes(b"auth: " + base64.b64encode(b"admin:" + values[0].encode()))
    (run.dir / "dump.gz").write_bytes(gzip.compress(values[1].encode()))
    app.report(f"signing in with {values[0]}")
    print(f"and with {values[1]}")
    assert app.get("/v1/me", auth=("admin", values[0])).json()["username"] == values[1].encode().hex()
'''


@pytest.mark.swarm
def test_a_suite_that_leaks_what_abra_generated_is_found_out(tmp_path: Path) -> None:
    """Real generated secrets, in files, archives, messages and output: masked, named, and not green."""
    kept = tmp_path / "values"
    run = Real(
        tmp_path, "miniflux", LEAKY, "--stages", "functional", GUARD_VALUES=str(kept), DRONE="true"
    )
    values = kept.read_text().split("\n")
    found, redactor = run.report, knowing(*values)
    assert len(values) == 2 and min(map(len, values)) >= 20
    assert (run.status, found.no_secret_leak) == (1, False), run.out
    assert [item.partition(" ")[0] for item in found.leaks] == ["dump.gz", "trace.txt"]
    files = {str(path): path.read_bytes() for path in run.dir.rglob("*") if path.is_file()}
    assert [name for name, data in files.items() if redactor.leaks(data)] == []
    assert not redactor.leaks(run.out) and MASK in run.out
    assert "A SECRET WAS FOUND" in run.out and "::cc-ci:: " in run.out
