"""No secret leaves a run; one that is found in its files is masked and reported."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from contract.marker import MARKER
from contract.verdicts import Verdict
from harness.reporting import events, report_line, run_dir, secret_scan, terminal
from harness.secret import MASK, Redactor, Secret
from tests.adversarial.secrets.recorded_run import RecordedRun, clean_run
from tests.adversarial.secrets.secret_encodings import ENCODINGS, PLAIN, VALUES, knowing, zipped
from tests.adversarial.swarm_session import run_suite


def test_every_report_says_that_no_secret_leaked(tmp_path: Path) -> None:
    run = clean_run(tmp_path)
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.PASSED, True)
    files = run.output()
    assert json.loads(files["report.json"])["no_secret_leak"] is True
    assert b'name="no_secret_leak" value="true"' in files["junit.xml"]
    words = "none leaked"
    assert words in files["summary.md"].decode().replace("\\", "")
    assert words in terminal.summary(found, run.run.dir)
    assert json.loads(report_line.line(found).removeprefix(MARKER))["no_secret_leak"] is True


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "utf-16"])
def test_no_output_or_file_of_a_run_has_a_secret(
    encoding: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages, details, notes, evidence and names are masked in all files and printed lines."""
    monkeypatch.setenv("DRONE", "true")
    run, text = RecordedRun(tmp_path), ENCODINGS[encoding](VALUES[value])
    run.fails("test_install", f"it printed {text}", f"one\ntwo {text}\nthree")
    run.run.recorder.note(f"noted {text}")
    run.run.recorder.progress(f"printed {text}")
    run.run.recorder.keep_log("fresh", "app", f"logged {text}")
    run.run.recorder.events.write(
        "evidence", kind="log", path=f"logs/{text}", more={text: [text, {text: text}]}
    )
    run.passes("test_leave_no_trace")
    found = run.closed()
    assert found.no_secret_leak is True
    redactor = knowing(VALUES[value])
    assert [name for name, data in run.output().items() if redactor.leaks(data)] == []
    assert "run-report" in run.printed[-1]
    assert MASK in "\n".join(run.printed) and MASK.encode() in run.output()["report.json"]


def test_a_leak_makes_the_run_not_green_and_names_the_file(tmp_path: Path) -> None:
    """A suite wrote the files without the recorder; the report names them but not the secret."""
    run = clean_run(tmp_path)
    (run.run.dir / "logs").mkdir()
    (run.run.dir / "logs" / "trace.txt").write_text(f"token={PLAIN}")
    (run.run.dir / "trace.zip").write_bytes(zipped("a", PLAIN.encode()))
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.INFRA, False)
    assert found.leaks == (
        "logs/trace.txt (masked)",
        "trace.zip (archive with a secret, removed)",
    )
    assert "logs/trace.txt" in found.reason and found.verdict.exit_code == 16
    files = run.output()
    body = json.loads(files["report.json"])
    assert body["no_secret_leak"] is False and body["leaks"] == list(found.leaks)
    assert b"A SECRET WAS FOUND" in files["summary.md"]
    assert "A SECRET WAS FOUND" in terminal.summary(found, run.run.dir)
    assert [name for name, data in files.items() if knowing(PLAIN).leaks(data)] == []


def test_events_that_the_harness_did_not_write_are_removed(tmp_path: Path) -> None:
    """All reports are made from the events."""
    run = clean_run(tmp_path)
    with (run.run.dir / "events.jsonl").open("a") as file:
        file.write(json.dumps({"t": 1.0, "event": "note", "text": f"a {PLAIN} b"}) + "\n")
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.SUITE, True)
    assert "something other than the harness wrote" in found.reason
    assert [name for name, data in run.output().items() if knowing(PLAIN).leaks(data)] == []
    assert events.read(run.run.dir / "events.jsonl").events[-1].name == "run-finished"


def test_a_printed_secret_is_masked_and_counts_as_a_leak(tmp_path: Path) -> None:
    """The console is the last stop for a line that bypassed the recorder's masking."""
    run = clean_run(tmp_path)
    run.run.recorder._print(f"straight through: {PLAIN}")
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.INFRA, False)
    assert run.printed[-1] == f"straight through: {MASK}" and "the output" in found.reason


def test_a_run_whose_secret_scan_failed_is_not_green(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unscanned files could contain a secret."""
    run = clean_run(tmp_path)

    def broken(folder: Path, redactor: Redactor, names: Collection[str] = ()) -> tuple[()]:
        if not names:
            raise OSError(5, "Input/output error")
        return ()

    monkeypatch.setattr(secret_scan, "scan", broken)
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.INFRA, False)
    assert "could not be searched: Input/output error" in found.reason


def test_a_huge_message_is_truncated(tmp_path: Path) -> None:
    """An app can print any amount of text; a run's files must stay small."""
    run = RecordedRun(tmp_path)
    run.fails("test_install", "m" * 10_000_000, "d" * 10_000_000)
    run.passes("test_leave_no_trace")
    run.closed()
    assert sum(map(len, run.output().values())) < 2_000_000


def test_a_red_run_with_a_leak_stays_red(tmp_path: Path) -> None:
    """A leak must not turn the recipe's fault into an infrastructure problem."""
    run = RecordedRun(tmp_path)
    run.fails("test_install", "no", "")
    run.passes("test_leave_no_trace")
    (run.run.dir / "x").write_text(PLAIN)
    found = run.closed()
    assert (found.verdict, found.no_secret_leak) == (Verdict.RECIPE, False)


def test_a_secret_equal_to_a_word_of_the_report_is_not_masked(tmp_path: Path) -> None:
    run = clean_run(tmp_path)
    words = [
        Secret(word) for word in ("install", "cleanup", "custom-html", "run-started", "passed")
    ]
    run.run.recorder.redactor.learn(words)
    assert all(run.run.recorder.redactor.is_weak(word) for word in words)
    assert run.closed().verdict is Verdict.PASSED


def test_the_report_of_a_killed_run_says_that_nothing_was_scanned(
    tmp_path: Path,
) -> None:
    """The janitor does not know the secrets: it keeps files that the run wrote and removes all others."""
    run = RecordedRun(tmp_path)
    run.passes("test_install")
    folder = run.run.dir
    (folder / "abra").mkdir()
    (folder / "logs").mkdir()
    (folder / "logs" / "fresh-app.log").write_text("masked already")
    run.run.recorder.events.write("evidence", kind="log", path="logs/fresh-app.log")
    (folder / "trace.txt").write_text(PLAIN)
    (folder / "link").symlink_to("/etc/passwd")
    run_dir.finish_dead(folder)
    found = run_dir.read(folder)
    assert (found.verdict, found.no_secret_leak) == (Verdict.INTERRUPTED, None)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ("events.jsonl", "junit.xml", "logs", "report.json", "summary.md")
    )
    assert "since it may hold a secret" in "\n".join(found.notes)
    assert json.loads((folder / "report.json").read_text())["no_secret_leak"] is None
    assert "Secrets: the scan did not run." in (folder / "summary.md").read_text()


# %% Names of keys


@pytest.mark.parametrize(
    "key", ["SECRET_KEY_BASE", "DB_PASSWORD", "api-token", "credentials", "SSH_KEY", "Key"]
)
def test_incident_v4_values_of_keys_that_name_a_secret_are_masked_in_every_format(
    key: str, tmp_path: Path
) -> None:
    """V4: a value whose key names a secret is masked even if the value is not known to be one."""
    run = clean_run(tmp_path)
    manifest = {"services": [{"app": {"environment": {key: "s3cr3tvalue", "other": "shown"}}}]}
    run.run.recorder.events.write(
        "evidence", kind="manifest", path="x", manifest=manifest, **{key: "s3cr3tvalue"}
    )
    run.closed()
    files = run.output()
    assert b"shown" in files["events.jsonl"] and MASK.encode() in files["events.jsonl"]
    assert [name for name, data in files.items() if b"s3cr3tvalue" in data] == []


# %% On the real Swarm

LEAKY = '''"""A suite of miniflux that writes the app's secrets into files, messages and output."""
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
    Path(os.environ["LEAKED_VALUES"]).write_text("\\n".join(values))
    (run.dir / "trace.txt").write_bytes(b"auth: " + base64.b64encode(b"admin:" + values[0].encode()))
    (run.dir / "dump.gz").write_bytes(gzip.compress(values[1].encode()))
    app.progress(f"signing in with {values[0]}")
    print(f"and with {values[1]}")
    assert app.get("/v1/me", auth=("admin", values[0])).json()["username"] == values[1].encode().hex()
'''


@pytest.mark.swarm
def test_a_suite_that_leaks_generated_secrets_is_not_green(tmp_path: Path) -> None:
    """Real secrets that abra generated, in files, archives, messages and output."""
    kept = tmp_path / "values"
    run = run_suite(
        tmp_path, "miniflux", LEAKY, "--stages", "functional", LEAKED_VALUES=str(kept), DRONE="true"
    )
    values = kept.read_text().split("\n")
    found, redactor = run.report, knowing(*values)
    assert len(values) == 2 and min(map(len, values)) >= 20
    assert (run.exit_code, found.no_secret_leak) == (1, False), run.out
    assert [item.partition(" ")[0] for item in found.leaks] == ["dump.gz", "trace.txt"]
    files = {str(path): path.read_bytes() for path in run.dir.rglob("*") if path.is_file()}
    assert [name for name, data in files.items() if redactor.leaks(data)] == []
    assert not redactor.leaks(run.out) and MASK in run.out
    assert "A SECRET WAS FOUND" in run.out and "::cc-ci:: " in run.out
