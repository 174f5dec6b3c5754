"""The report: pure, complete, harmless to its readers, and there however the run ended."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from contract.verdicts import Verdict
from harness import plan
from harness.reporting import report
from harness.reporting.events import Event
from harness.reporting.report import Evidence, Report
from tests.support import event_factory
from tests.support.event_factory import NAMES, case, finished, run, started, stored

FILES = ("report.json", "summary.md", "junit.xml")


def made(name: str) -> Report:
    """Return the report of a stored run."""
    return report.build(stored(name))


def valid(folder: Path) -> Report:
    """Write the reports of a run directory; each can be read. Return the report."""
    found = report.write_all(folder)
    body = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert body["schema"] == report.SCHEMA
    assert body["verdict"] in list(Verdict)
    ElementTree.fromstring((folder / "junit.xml").read_text(encoding="utf-8"))
    assert (folder / "summary.md").read_text(encoding="utf-8").startswith("# ")
    return found


# %% What is in it


def test_a_green_run() -> None:
    """Identity, stages, level, verdict and evidence of a run in which all went well."""
    found = made("green")
    assert (found.run, found.recipe, found.pr, found.lane) == ("212", "custom-html", "7", "cold")
    assert (found.version, found.base_version) == ("1.1.1+1.22.1", "1.1.0+1.22.1")
    assert [stage.outcome for stage in found.stages] == ["pass"] * 8
    assert (found.level, found.level_note, found.verdict) == (5, "", "passed")
    assert (found.reason, found.stage, found.interrupted_in) == ("", "", "")
    assert Evidence("log", "logs/fresh-app.log") in found.evidence
    assert found.notes == ("abra is the sandbox's stand-in, not the real one",)


def test_a_red_install() -> None:
    """The first failure decides; what builds on it is unverified, the base is named beside it."""
    found = made("red-install")
    outcomes = {stage.name: stage.outcome for stage in found.stages}
    assert outcomes["install"] == "fail"
    assert {outcomes[n] for n in ("functional", "backup", "restore", "upgrade")} == {"unverified"}
    assert (found.verdict, found.stage, found.level) == ("recipe", "install", 0)
    assert "crash loop" in found.reason
    assert [c.id for c in found.failed] == ["test_install[miniflux]", "test_base[miniflux]"]
    assert found.level_note == "not higher: install failed"


def test_a_run_that_died_says_in_which_stage() -> None:
    """No level, the stage of its death, and what came before it (G10)."""
    found = made("interrupted")
    assert (found.verdict, found.interrupted_in, found.level) == ("interrupted", "backup", None)
    assert [s.name for s in found.stages if s.outcome == "pass"] == [
        "lint",
        "install",
        "functional",
        "redeploy",
    ]


def test_a_torn_file_gives_the_report_of_what_is_whole() -> None:
    """Half a line changes nothing."""
    assert made("torn") == made("interrupted")


def test_the_quick_lane_has_no_level_and_says_so() -> None:
    """It can be green, never higher (G20)."""
    found = made("quick")
    assert (found.verdict, found.level, found.partial) == ("passed", None, False)
    assert "lower confidence" in report.headline(found)


def test_an_unclean_teardown_is_told_and_lowers_no_level_for_good() -> None:
    """The leftover is named; the level does not count, since the recipe is not to blame (L1)."""
    found = made("unclean-teardown")
    assert (found.verdict, found.stage, found.level) == ("infra", "cleanup", 4)
    assert "5b7556-custom-html_ci_test_content" in found.reason
    assert found.level_note.startswith("does not count")


def test_a_partial_run_has_no_level() -> None:
    """A green part is no proof of the whole (P5)."""
    found = report.build(
        [started("install", "cleanup"), case("install"), case("cleanup"), finished()]
    )
    assert (found.verdict, found.partial, found.level) == ("passed", True, None)
    assert "partial" in report.headline(found)


def test_a_suite_without_a_functional_test_stops_at_three() -> None:
    """Green, and the reason why it stands no higher (L4)."""
    stages = [name for name in plan.STAGES if name != "functional"]
    found = report.build([started(*stages), *(case(name) for name in stages), finished()])
    assert (found.verdict, found.level, found.partial) == ("passed", 3, False)
    assert found.level_note == "not higher: the suite tests nothing of what the app is for"


def test_a_run_that_lives_is_not_called_interrupted() -> None:
    """Its owner works on it: it is running, and where."""
    found = report.build(stored("interrupted"), alive=True)
    assert (found.running, found.interrupted_in, found.colour) == (True, "", "grey")
    assert report.headline(found).startswith("still running")
    assert found.reason == "now in stage 'backup'"


def test_a_run_that_ended_is_not_running_whoever_lives() -> None:
    """Its end was recorded."""
    assert not report.build(stored("green"), alive=True).running


def test_building_twice_gives_the_same() -> None:
    """A report depends on nothing but the events."""
    assert made("green") == made("green")


def test_a_report_cannot_be_changed() -> None:
    """Whoever holds it, holds what was recorded."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        made("green").verdict = Verdict.PASSED  # type: ignore[misc]


# %% Times


def phase(t: float, name: str, seconds: object, life: str | None = "fresh") -> Event:
    """Return a phase that ended at a time."""
    return Event(t, "phase", {"phase": name, "life": life, "seconds": seconds})


def test_phases_are_summed_by_life_and_in_all() -> None:
    """The same phase of two lives adds up."""
    found = report.build(
        [
            phase(1.0, "queue", 1.0, None),
            phase(4.0, "deploy", 3.0),
            phase(9.0, "deploy", 2.5, "upgrade"),
        ]
    )
    assert found.phases == {"queue": 1.0, "deploy": 5.5}
    assert found.lives == {
        "": {"queue": 1.0},
        "fresh": {"deploy": 3.0},
        "upgrade": {"deploy": 2.5},
    }


@pytest.mark.parametrize(
    ("phases", "rest"),
    [
        ([], 10.0),
        ([phase(104.0, "deploy", 4.0)], 6.0),
        ([phase(104.0, "deploy", 4.0), phase(110.0, "teardown", 6.0)], 0.0),
        ([phase(103.0, "health", 1.0), phase(104.0, "deploy", 4.0)], 6.0),
        ([phase(104.0, "a", 4.0), phase(106.0, "b", 4.0, "upgrade")], 4.0),
        ([phase(104.0, "deploy", 999.0)], 6.0),
        ([phase(104.0, "deploy", "soon")], 10.0),
    ],
)
def test_the_time_in_no_phase_is_told(phases: list[Event], rest: float) -> None:
    """Phases within one another and side by side are not counted twice."""
    begin, end = Event(100.0, "note", {"text": "a"}), Event(110.0, "note", {"text": "b"})
    found = report.build([begin, *phases, end])
    assert (found.seconds, found.unaccounted) == (10.0, rest)


# %% The command to repeat it


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (started(ref="a" * 40), f"pytest recipes_tests --recipe custom-html --ref {'a' * 40}"),
        (
            started(ref="a" * 40, src="someone/custom-html"),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --src someone/custom-html",
        ),
        (
            started(ref="a" * 40, lane="quick"),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --quick",
        ),
        (
            started("cleanup", "install", ref="a" * 40),
            f"pytest recipes_tests --recipe custom-html --ref {'a' * 40} --stages install,cleanup",
        ),
        (started(ref=""), "pytest recipes_tests --recipe custom-html"),
        (
            started(ref="x; rm -rf /"),
            "pytest recipes_tests --recipe custom-html --ref 'x; rm -rf /'",
        ),
        (Event(1.0, "note", {}), ""),
    ],
)
def test_the_command_to_repeat_a_run(event: Event, command: str) -> None:
    """One line, the same recipe, commit, source, lane and stages, and no keys (G22)."""
    assert report.build([event]).repeat == command


# %% For machines


def test_the_json_says_what_the_verdict_means() -> None:
    """Who reads it needs no copy of our tables."""
    body = json.loads(report.to_json(made("red-install")))
    assert (body["schema"], body["verdict"], body["colour"]) == (1, "recipe", "red")
    assert (body["exit_status"], body["commit_state"]) == (1, "failure")
    assert body["stages"][1] == {
        "name": "install",
        "outcome": "fail",
        "reason": body["reason"],
        "cases": 4,
        "seconds": 13.369,
    }
    assert body["evidence"][0] == {"kind": "log", "path": "logs/fresh-app.log"}


# %% For people


def test_the_verdict_is_the_first_line() -> None:
    """Who reads one line knows the outcome."""
    text = report.to_markdown(made("green"))
    first = "# custom-html 617e8442: passed: everything planned ran and held"
    assert text.splitlines()[0] == first


def test_the_summary_has_all_its_parts() -> None:
    """Stages with their marks, the failure with its log, phases, evidence, the command."""
    text = report.to_markdown(made("red-install"))
    assert "| ✓ | lint | 0.1 |" in text
    assert "| ✗ | install | 13.4 | service 'db' keeps ending" in text
    assert "| ? | backup | 0.0 |" in text
    assert 'initdb: error: could not open file "/dev/stdin"' in text
    assert "Phases: queue 0.0" in text
    assert "`logs/fresh-db.log`" in text
    assert (
        text.rstrip()
        .splitlines()[-2]
        .startswith("pytest recipes_tests --recipe miniflux --ref 17be")
    )


@pytest.mark.parametrize(
    "text",
    [
        "ask @admin",
        "@someone/team",
        "see #12 and !34",
        "closes someone/repo#5",
        "<script>alert(1)</script>",
        "![x](http://evil.example/x.png)",
        "[click](javascript:alert(1))",
        "see https://evil.example/a",
        "see www.evil.example",
        "me@evil.example",
        "**bold** _it_ ~~gone~~ `code`",
        "a | b | c",
        "&#64;admin &lt;b&gt;",
        "back\\slash\\@admin",
        "back\\*slash",
        "{{x}}",
        "# heading",
        "- item",
        "1. item",
        "+ item",
        "> quote",
        "=====",
        "---",
        "```",
        "two\n\n# lines",
        "tab\tand\x1b[31mred\x1b[0m",
        "\u202eevil",
        "$a^2$",
        ":tada:",
        "",
    ],
)
def test_foreign_text_does_nothing_in_markdown(text: str) -> None:
    """It mentions nobody, links nothing, refers to nothing, and is no markup."""
    out = report.escape(text)
    assert "\n" not in out
    assert out.replace("\u200b", "").isprintable()
    assert not re.search(r"@\w|[#!]\d|://\w|www\.|:\w+:", out)
    assert not re.search(r"(?<!\\)(\\\\)*[`*_{}\[\]()<>#|!~&$]", out)
    assert not re.match(r"[-+=>]|\d+[.)]", out)


@pytest.mark.parametrize("text", ["plain words, 12:30:45 o'clock", "a.b/c-d", "größer → ✓"])
def test_ordinary_text_stays_readable(text: str) -> None:
    """What nobody acts on is not changed."""
    assert report.escape(text) == text


@pytest.mark.parametrize("ticks", ["```", "````", "`" * 30, "x ``` y"])
def test_a_log_cannot_close_its_fence(ticks: str) -> None:
    """The fence is longer than any in the log."""
    bad = case("install", "fail", fault="recipe", message="x", details=f"{ticks}\n@admin\n# big")
    lines = report.to_markdown(report.build(run(bad))).splitlines()
    start = lines.index(ticks) - 1
    fence = lines[start]
    assert set(fence) == {"`"}
    assert len(fence) > max(len(found) for found in re.findall("`+", ticks))
    assert lines[start + 4] == fence


def test_a_path_cannot_end_its_code() -> None:
    """What is saved may be called anything."""
    text = report.to_markdown(
        report.build([Event(1.0, "evidence", {"kind": "log", "path": "a`\n@b"})])
    )
    assert "- Evidence: log `a´ @b`\n" in text


def test_only_the_last_lines_of_a_log_are_shown() -> None:
    """100 MB of log do not make a page of 100 MB."""
    details = "\n".join(f"line {number} {'x' * 5000}" for number in range(1000))
    bad = case("install", "fail", fault="recipe", message="x", details=details)
    text = report.to_markdown(report.build(run(bad)))
    assert "line 999 " in text
    assert "line 974 " not in text
    assert len(text) < 15_000


def test_foreign_text_in_every_place_is_escaped() -> None:
    """Messages, reasons, ids, notes, evidence, names: nothing gets around the escaping."""
    bad = "@admin <img src=x>"
    found = report.build(
        [
            started(recipe=bad, ref=bad, src=bad, version=bad, notes=[bad]),
            case("install", "fail", id=bad, message=bad, details=bad, life=bad, fault="recipe"),
            case(bad, "unverified", message=bad),
            Event(1.0, "note", {"text": bad}),
            Event(1.0, "evidence", {"kind": bad, "path": bad}),
            phase(1.0, bad, 1.0, bad),
            finished(how="interrupted", reason=bad),
        ]
    )
    outside = re.sub(r"(?ms)^(`{3,})$.*?^\1$", "", report.to_markdown(found))
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert "admin" in outside
    assert "@admin" not in outside
    assert "<img" not in outside.replace("\\<img", "")


# %% On disk


@pytest.mark.parametrize("name", NAMES)
def test_every_stored_run_has_all_its_files(name: str, tmp_path: Path) -> None:
    """Three files, each readable, and nothing else beside the events."""
    shutil.copy(event_factory.STORED / f"{name}.jsonl", tmp_path / "events.jsonl")
    valid(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"events.jsonl", *FILES}


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_died_anywhere_has_valid_reports(name: str, tmp_path: Path) -> None:
    """After every line and in the middle of every line (G10)."""
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
    """The directory's name is all there is to tell."""
    folder = tmp_path / "local-7"
    folder.mkdir()
    found = valid(folder)
    assert (found.run, found.verdict) == ("local-7", "interrupted")


@pytest.mark.parametrize("value", [None, 7, "x", [], {}, [[1], {"a": None}], True, 1e300, "\ud800"])
def test_events_of_any_shape_give_valid_reports(value: object, tmp_path: Path) -> None:
    """A value of a type nobody expected is told as well as it can be (V3)."""
    keys = "run recipe ref pr src lane stages version abra notes phase life seconds text stage id"
    keys += " outcome message details fault structural kind path verdict reason how not_applicable"
    data = dict.fromkeys(keys.split(), value)
    names = ["run-started", "phase", "state", "stage-started", "case", "note", "evidence"]
    lines = [json.dumps({**data, "t": 1.0, "event": name}) for name in [*names, "run-finished"]]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert valid(tmp_path).verdict is not Verdict.PASSED


def test_lines_that_could_not_be_read_are_told(tmp_path: Path) -> None:
    """A report that leaves something out says so."""
    content = (event_factory.STORED / "green.jsonl").read_text()
    (tmp_path / "events.jsonl").write_text("rubbish\n" + content)
    assert any("1 line(s)" in note for note in valid(tmp_path).notes)


def test_reports_are_replaced_whole(tmp_path: Path) -> None:
    """A reader of the old file keeps the whole old file, and nothing temporary stays."""
    shutil.copy(event_factory.STORED / "green.jsonl", tmp_path / "events.jsonl")
    (tmp_path / "report.json").write_text("old")
    with (tmp_path / "report.json").open() as old:
        report.write_all(tmp_path)
        assert old.read() == "old"
    assert not list(tmp_path.glob(".*"))


def test_a_report_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk does not cost what was there."""
    shutil.copy(event_factory.STORED / "green.jsonl", tmp_path / "events.jsonl")
    (tmp_path / "report.json").write_text("old")

    def full(path: Path, *args: object, **kwargs: object) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        report.write_all(tmp_path)
    assert (tmp_path / "report.json").read_text() == "old"
    assert not list(tmp_path.glob(".*"))
