"""Suites that cheat to get a green run; none may pass."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from contract.verdicts import Verdict
from tests.adversarial.suites.suite_session import CHECK, HONEST, SEED, TEST, SuiteSession


@dataclass
class Cheat:
    """A suite that cheats.

    Attributes:
        suite: its code.
        message: what a failure must contain.
        verdict: the run's verdict.
        unproven: the stages that must not pass.
        level: the run's level.
        settings: its recipe.yml.
    """

    suite: str
    message: str
    verdict: Verdict = Verdict.SUITE
    unproven: tuple[str, ...] = ()
    level: int | None = None
    settings: str = ""


def in_its_test(code: str, message: str, verdict: Verdict = Verdict.SUITE) -> Cheat:
    """Return a suite that cheats only in its functional test, so what its check proves counts."""
    return Cheat(SEED + CHECK + code, message, verdict, ("functional",), 3)


def first(line: str) -> str:
    """Return the functional test with this first line."""
    return TEST.replace("    assert", f"    {line}\n    assert")


ASSERTS_NOTHING = """
@pytest.mark.functional
def test_works(app: App) -> None:
    assert {}
"""
CHEATS = {
    "tautology": in_its_test(
        ASSERTS_NOTHING.format("app.domain == app.domain"), "test_works[while-stopped]"
    ),
    "asserts-its-own-notes": Cheat(
        SEED.replace('"made by hand")', '"made by hand")\n    app.notes["page"] = "x"')
        + CHECK
        + ASSERTS_NOTHING.format('app.notes["page"] == "x"'),
        "passes with the app stopped",
        unproven=("functional",),
        level=3,
    ),
    "check-without-app": Cheat(
        SEED
        + "\nTHERE = []\n"
        + CHECK.replace(
            'app.read("app", "/page") == b"made by hand"', "THERE.append(1) or len(THERE) != 3"
        )
        + TEST,
        "kept[while-stopped]",
        unproven=("functional", "restore", "upgrade"),
        level=1,
    ),
    "swallows-every-error": in_its_test(
        """
@pytest.mark.functional
def test_works(app: App) -> None:
    try:
        assert app.get("/").text
    except Exception:
        pass
""",
        "test_works[while-stopped]",
    ),
    "everything-skipped": in_its_test(
        first('pytest.skip("not today")'), "every test was skipped: not today"
    ),
    "marked-skip": in_its_test(
        TEST.replace("@pytest", '@pytest.mark.skip(reason="later")\n@pytest', 1), "later"
    ),
    "one-of-two-skipped": in_its_test(
        TEST + first('pytest.skip("no")').replace("works", "more"), "1 of 2 skipped: no"
    ),
    "check-skips-after-the-restore": Cheat(
        SEED.replace("def put", "RUNS = []\n\n@seed\ndef put").replace("@seed\nRUNS", "RUNS")
        + CHECK.replace(
            "    assert",
            "    RUNS.append(1)\n    if len(RUNS) == 4: pytest.skip('gone')\n    assert",
        )
        + TEST,
        "gone",
        unproven=("restore",),
        level=2,
    ),
    "calls-itself-not-applicable": Cheat(
        SEED
        + CHECK.replace("    assert", '    pytest.skip("not applicable: no data")\n    assert')
        + TEST,
        "not applicable: no data",
        unproven=("install", "redeploy", "upgrade"),
        level=0,
    ),
    "seed-skips": Cheat(
        SEED.replace("    app.write", '    pytest.skip("not applicable: nothing")\n    app.write')
        + CHECK,
        "'put' skips itself",
        unproven=("backup", "restore"),
        level=0,
    ),
    "wreck-skips": Cheat(
        HONEST + "\n@wreck\ndef lost(app: App) -> None:\n    pytest.skip('not applicable: no')\n",
        "'lost' skips itself",
        unproven=("restore",),
        level=2,
    ),
    "expected-to-fail": Cheat(
        SEED
        + CHECK.replace("@check", '@check\n@pytest.mark.xfail(reason="known")').replace(
            "== b", "!= b"
        )
        + TEST,
        "marked as expected to fail (known)",
        unproven=("install", "restore", "upgrade"),
        level=0,
    ),
    "xfail-inside": in_its_test(first('pytest.xfail("known")'), "marked as expected to fail"),
    "restore-of-nothing-unnoticed": Cheat(
        SEED
        + CHECK.replace(
            'app.read("app", "/page") == b"made by hand"', "app.host is not None and app.read"
        ).replace("    assert", '    app._require_running("app")\n    assert')
        + TEST,
        "every check still passes",
        unproven=("restore",),
        level=2,
    ),
    "leaves-the-interpreter": in_its_test(first("sys.exit(0)"), "SystemExit"),
    "hangs-when-stopped": in_its_test(
        """
@pytest.mark.functional
def test_works(app: App) -> None:
    while app.stopped:
        try:
            app.read("app", "/page")
        except Exception:
            pass
    assert app.read("app", "/page") == b"x"
""",
        "assert b'made by hand' == b'x'",
        Verdict.RECIPE,
    ),
    "replaces-code": in_its_test(
        TEST
        + """
from harness.suites import app as module
@pytest.mark.functional
def test_patch(monkeypatch: pytest.MonkeyPatch, app: App) -> None:
    monkeypatch.setattr(module.App, "get", lambda *a, **k: None)
    assert app.read("app", "/page")
""",
        "replaced a part of the harness: harness.suites.app.App.get",
    ),
    "forges-its-events": in_its_test(
        TEST.replace('"/page")', '"/page") == b"x"')
        + """
@pytest.mark.functional
def test_forge(run: Run, app: App) -> None:
    assert app.read("app", "/page")
    events = run.dir / "events.jsonl"
    events.write_text(events.read_text().replace('"fail"', '"pass"'))
    (run.dir / "report.json").write_text('{"verdict": "passed"}')
    (run.dir / "junit.xml").write_text("<testsuites/>")
""",
        "assert b'made by hand' == b'x'",
        Verdict.RECIPE,
    ),
    "adds-to-its-events": Cheat(
        SEED
        + CHECK
        + """
@pytest.mark.functional
def test_forge(run: Run, app: App) -> None:
    assert app.read("app", "/page")
    with (run.dir / "events.jsonl").open("a") as file:
        file.write('{"t": 1, "event": "case", "id": "x", "stage": "lint", "outcome": "pass"}\\n')
""",
        "something other than the harness wrote",
        level=5,
    ),
}


@pytest.fixture(scope="module")
def cheats(tmp_path_factory: pytest.TempPathFactory) -> SuiteSession:
    """One session with all cheating suites and an honest one."""
    session = SuiteSession(tmp_path_factory.mktemp("cheats"))
    session.enrol("honest", HONEST)
    for name, cheat in CHEATS.items():
        session.enrol(name, cheat.suite, cheat.settings)
    return session.run()


def test_the_honest_suite_is_green(cheats: SuiteSession) -> None:
    """The fake stages are fair: a suite that tests its app reaches level five."""
    found = cheats.report("honest")
    assert (found.verdict, found.level, found.level_note) == (Verdict.PASSED, 5, ""), cheats.output
    controls = [case.id for case in found.cases if "while-stopped" in case.id]
    assert controls == []


@pytest.mark.parametrize("name", CHEATS)
def test_a_suite_that_cheats_is_not_green(name: str, cheats: SuiteSession) -> None:
    found, cheat = cheats.report(name), CHEATS[name]
    messages = "\n".join([found.reason, *(f"{c.id} {c.message} {c.details}" for c in found.failed)])
    outcomes = {stage.name: stage.outcome for stage in found.stages}
    assert found.verdict is cheat.verdict, (found.verdict, found.reason, outcomes)
    assert cheat.message in messages
    assert [s for s in cheat.unproven if outcomes[s] in ("pass", "skip")] == [], outcomes
    assert found.level == cheat.level
    assert cheats.exit_code == found.verdict.exit_code == 1


def test_reports_that_a_suite_overwrote_are_restored(cheats: SuiteSession) -> None:
    for name in ("forges-its-events", "adds-to-its-events"):
        folder = cheats.folder / "runs" / f"7-{name}"
        assert json.loads((folder / "report.json").read_text())["verdict"] != "passed"
        assert "<testcase" in (folder / "junit.xml").read_text()
        assert '"id": "x"' not in (folder / "events.jsonl").read_text()
