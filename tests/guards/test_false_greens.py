"""Every way to a green that means nothing, tried by a suite or a recipe that cheats; none may pass."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness import lifecycle, plan, report, swarm, verdict, zoo
from harness.app import App
from harness.errors import RecipeFailure
from harness.events import Event
from harness.report import Report
from harness.run import Run
from harness.settings import CHECKOUT
from harness.verdict import Verdict
from tests.guards import theatre
from tests.guards.real import FOUND, Real
from tests.unit.told import case, finished, started

HEAD = '''"""A suite."""
import os, sys
from pathlib import Path
import pytest
from harness import App, Run, check, seed, wreck

@seed
def put(app: App) -> None:
    app.write("app", "/page", "made by hand")
'''
CHECK = """
@check
def kept(app: App) -> None:
    assert app.read("app", "/page") == b"made by hand"
"""
TEST = """
@pytest.mark.functional
def test_works(app: App) -> None:
    assert app.read("app", "/page")
"""
HONEST = HEAD + CHECK + TEST


@dataclass
class Cheat:
    """A suite that tries to come out green: what must be said, and of which stages nothing is proven."""

    suite: str
    says: str
    verdict: Verdict = Verdict.SUITE
    unproven: tuple[str, ...] = ()
    level: int | None = None
    settings: str = ""


ASSERTS_NOTHING = """
@pytest.mark.functional
def test_works(app: App) -> None:
    assert {}
"""
CHEATS = {
    "tautology": Cheat(
        HEAD + CHECK + ASSERTS_NOTHING.format("app.domain == app.domain"),
        "test_works[while-stopped]",
        unproven=("functional",),
        level=3,
    ),
    "asserts-its-own-notes": Cheat(
        HEAD.replace('"made by hand")', '"made by hand")\n    app.notes["page"] = "x"')
        + CHECK
        + ASSERTS_NOTHING.format('app.notes["page"] == "x"'),
        "passes while the app is stopped",
        unproven=("functional",),
        level=3,
    ),
    "check-without-app": Cheat(
        HEAD
        + "\nTHERE = []\n"
        + CHECK.replace(
            'app.read("app", "/page") == b"made by hand"', "THERE.append(1) or len(THERE) != 3"
        )
        + TEST,
        "kept[while-stopped]",
        unproven=("functional", "restore", "upgrade"),
        level=1,
    ),
    "swallows-every-error": Cheat(
        HEAD
        + CHECK
        + """
@pytest.mark.functional
def test_works(app: App) -> None:
    try:
        assert app.get("/").text
    except Exception:
        pass
""",
        "test_works[while-stopped]",
        unproven=("functional",),
        level=3,
    ),
    "everything-skipped": Cheat(
        HEAD + CHECK + TEST.replace("    assert", '    pytest.skip("not today")\n    assert'),
        "every test was skipped: not today",
        unproven=("functional",),
        level=3,
    ),
    "marked-skip": Cheat(
        HEAD + CHECK + TEST.replace("@pytest", '@pytest.mark.skip(reason="later")\n@pytest', 1),
        "later",
        unproven=("functional",),
        level=3,
    ),
    "one-of-two-skipped": Cheat(
        HONEST
        + TEST.replace("works", "more").replace("    assert", '    pytest.skip("no")\n    assert'),
        "1 of 2 skipped: no",
        unproven=("functional",),
        level=3,
    ),
    "check-skips-after-the-restore": Cheat(
        HEAD.replace("def put", "RUNS = []\n\n@seed\ndef put").replace("@seed\nRUNS", "RUNS")
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
        HEAD
        + CHECK.replace("    assert", '    pytest.skip("not applicable: no data")\n    assert')
        + TEST,
        "not applicable: no data",
        unproven=("install", "redeploy", "upgrade"),
        level=0,
    ),
    "seed-skips": Cheat(
        HEAD.replace("    app.write", '    pytest.skip("not applicable: nothing")\n    app.write')
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
        HEAD
        + CHECK.replace("@check", '@check\n@pytest.mark.xfail(reason="known")').replace(
            "== b", "!= b"
        )
        + TEST,
        "marked as expected to fail (known)",
        unproven=("install", "restore", "upgrade"),
        level=0,
    ),
    "xfail-inside": Cheat(
        HEAD + CHECK + TEST.replace("    assert", '    pytest.xfail("known")\n    assert'),
        "marked as expected to fail",
        unproven=("functional",),
        level=3,
    ),
    "restore-of-nothing-unnoticed": Cheat(
        HEAD
        + CHECK.replace(
            'app.read("app", "/page") == b"made by hand"', "app.host is not None and app.read"
        ).replace("    assert", '    app._require_running("app")\n    assert')
        + TEST,
        "every check still passes",
        unproven=("restore",),
        level=2,
    ),
    "leaves-the-interpreter": Cheat(
        HEAD + CHECK + TEST.replace("    assert", "    sys.exit(0)\n    assert"),
        "SystemExit",
        unproven=("functional",),
        level=3,
    ),
    "hangs-when-stopped": Cheat(
        HEAD
        + CHECK
        + """
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
        verdict=Verdict.RECIPE,
        unproven=("functional",),
        level=3,
    ),
    "replaces-code": Cheat(
        HONEST
        + """
from harness import app as module
@pytest.mark.functional
def test_patch(monkeypatch: pytest.MonkeyPatch, app: App) -> None:
    monkeypatch.setattr(module.App, "get", lambda *a, **k: None)
    assert app.read("app", "/page")
""",
        "replaced a part of the harness: harness.app.App.get",
        unproven=("functional",),
        level=3,
    ),
    "forges-its-events": Cheat(
        HONEST.replace(
            '    assert app.read("app", "/page")\n', '    assert app.read("app", "/page") == b"x"\n'
        )
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
        verdict=Verdict.RECIPE,
        unproven=("functional",),
        level=3,
    ),
    "adds-to-its-events": Cheat(
        HEAD
        + CHECK
        + """
@pytest.mark.functional
def test_forge(run: Run, app: App) -> None:
    assert app.read("app", "/page")
    with (run.dir / "events.jsonl").open("a") as file:
        file.write('{"t": 1, "event": "case", "id": "x", "stage": "lint", "outcome": "pass"}\\n')
""",
        "something else than the harness wrote",
        level=5,
    ),
}


@dataclass
class Played:
    """One pytest process over a folder of suites: exit status, output, and where its runs are."""

    folder: Path
    status: int = -1
    out: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def enrol(self, name: str, code: str, settings: str = "", conftest: str = "") -> None:
        """Give a recipe a suite."""
        place = self.folder / "suites" / name
        place.mkdir(parents=True)
        (place / f"test_{name.replace('-', '_')}.py").write_text(code)
        if settings:
            (place / "recipe.yml").write_text(settings)
        if conftest:
            (place / "conftest.py").write_text(conftest)

    def play(self, *options: str) -> Played:
        """Run pytest as anybody would, but for the Swarm."""
        shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", self.folder / "suites")
        abra = self.folder / "abra"
        abra.write_text("#!/bin/sh\necho theatre\n")
        abra.chmod(0o755)
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
        words += ["--rootdir", str(CHECKOUT), "-p", "no:cacheprovider", "-p", theatre.__name__]
        words += ["-p", "harness.plugin", str(self.folder / "suites"), "--ref", "0123abcd" * 5]
        places = {
            f"CCCI_{what}_DIR": str(self.folder / what) for what in ("LOCK", "ACTIVE", "SLOTS")
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CCCI_", "PYTEST_"))}
        clean |= {"CCCI_RUNS_DIR": str(self.folder / "runs"), "CCCI_ABRA": str(abra), **places}
        clean |= {"CCCI_SUITES_DIR": str(self.folder / "suites"), "CCCI_SETTINGS": "/dev/null"}
        done = subprocess.run(
            [*words, *options],
            cwd=CHECKOUT,
            env={**clean, "DRONE_BUILD_NUMBER": "7"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.status, self.out = done.returncode, done.stdout + done.stderr
        return self

    def report(self, name: str = "") -> Report:
        """Return the report of a recipe's run; of the only run without a name."""
        return report.read(self.folder / "runs" / (f"7-{name}" if name else "7"))


@pytest.fixture(scope="module")
def cheats(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """All cheats, and one honest suite, in one session."""
    played = Played(tmp_path_factory.mktemp("cheats"))
    played.enrol("honest", HONEST)
    for name, cheat in CHEATS.items():
        played.enrol(name, cheat.suite, cheat.settings)
    return played.play()


@pytest.fixture
def alone(tmp_path: Path) -> Played:
    """A folder for suites that end more than themselves."""
    return Played(tmp_path)


def test_the_honest_suite_is_green(cheats: Played) -> None:
    """The stage itself is fair: a suite that tests its app reaches level five."""
    found = cheats.report("honest")
    assert (found.verdict, found.level, found.level_note) == (Verdict.PASSED, 5, ""), cheats.out
    controls = [case.id for case in found.cases if "while-stopped" in case.id]
    assert controls == []


@pytest.mark.parametrize("name", CHEATS)
def test_a_suite_that_cheats_is_not_green(name: str, cheats: Played) -> None:
    """Its verdict is not green, it is named, and what it did not prove raises no level."""
    found, cheat = cheats.report(name), CHEATS[name]
    told = "\n".join([found.reason, *(f"{c.id} {c.message} {c.details}" for c in found.failed)])
    outcomes = {stage.name: stage.outcome for stage in found.stages}
    assert found.verdict is cheat.verdict, (found.verdict, found.reason, outcomes)
    assert cheat.says in told
    assert [s for s in cheat.unproven if outcomes[s] in ("pass", "skip")] == [], outcomes
    assert found.level == cheat.level
    assert cheats.status == found.verdict.exit_status == 1


def test_what_a_suite_wrote_over_its_reports_is_gone(cheats: Played) -> None:
    """The reports are made of what the harness wrote, whatever lay there before."""
    for name in ("forges-its-events", "adds-to-its-events"):
        folder = cheats.folder / "runs" / f"7-{name}"
        assert json.loads((folder / "report.json").read_text())["verdict"] != "passed"
        assert "<testcase" in (folder / "junit.xml").read_text()
        assert '"id": "x"' not in (folder / "events.jsonl").read_text()


# %% What ends more than its own run


def test_a_suite_that_replaces_a_verb_is_not_green(alone: Played) -> None:
    """The first step after the replacement fails, and with it all that is left of the run."""
    alone.enrol(
        "patch",
        HONEST
        + """
from harness import lifecycle
@pytest.mark.install
def test_patch(app: App) -> None:
    lifecycle.restore = lambda run, app: None
    assert app.read("app", "/page")
""",
    )
    found = alone.play().report()
    assert (alone.status, found.verdict) == (1, Verdict.SUITE)
    assert "replaced a part of the harness: harness.lifecycle.restore" in found.reason
    assert found.level == 0 and not [s.name for s in found.stages[2:] if s.outcome == "pass"]


@pytest.mark.parametrize(
    ("ending", "status", "says"),
    [
        ("os._exit(0)", 2, "the run died"),
        ("pytest.exit('done', returncode=0)", 1, "it ended the whole session: done"),
        ("os.kill(os.getpid(), 15)", 2, "interrupted"),
        ("(Path(run.dir, 'events.jsonl').open('a').write(FORGED), os._exit(0))", 2, "the run died"),
    ],
    ids=["exit at once", "pytest.exit", "SIGTERM", "forges its end and exits"],
)
def test_a_suite_that_ends_the_session_is_not_green(
    ending: str, status: int, says: str, alone: Played
) -> None:
    """Neither exit status nor report of a run that ends in the middle is green."""
    forged = 'FORGED = \'{"t": 1, "event": "run-finished", "how": "finished"}\\n\'\n'
    code = TEST.replace("app: App", "run: Run, app: App").replace(
        "    assert", f"    {ending}\n    assert"
    )
    alone.enrol("ending", HEAD + forged + CHECK + code)
    assert alone.play().status == status, alone.out
    folder = alone.folder / "runs" / "7"
    found = report.read(folder) if (folder / "report.json").exists() else report.finish_dead(folder)
    assert found.verdict.exit_status == status and found.level in (None, 0)
    assert says in f"{found.reason} {found.verdict.value}"


def test_a_suite_that_leaves_with_zero_at_the_end_changes_nothing(alone: Played) -> None:
    """The exit status of a red session is not made green behind pytest's back."""
    code = HEAD + "import atexit\natexit.register(os._exit, 0)\n" + CHECK
    alone.enrol("late", code + TEST.replace("assert", "assert not"))
    assert alone.play().status == 1, alone.out


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import pytest\npytest.skip('later', allow_module_level=True)\n",
            "skips itself as a whole",
        ),
        ("import pytest\npytest.importorskip('no_such_module')\n", "skips itself as a whole"),
        ("import sys\nsys.exit(0)\n", "SystemExit"),
        (HONEST + "\npytest.exit('done', returncode=0)\n", "done"),
    ],
    ids=["module skip", "importorskip", "sys.exit", "pytest.exit"],
)
def test_a_suite_that_vanishes_at_import_is_not_green(code: str, says: str, alone: Played) -> None:
    """A suite whose checks are silently none would leave the lifecycle to pass alone."""
    alone.enrol("gone", code)
    assert alone.play().status != 0
    assert says in alone.out
    assert not (alone.folder / "runs").exists()


@pytest.mark.parametrize(
    "hook",
    [
        "def pytest_collection_modifyitems(items):\n    del items[5:]\n",
        "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n",
        "def pytest_runtest_makereport(item, call):\n    pass\n",
    ],
    ids=["removes a stage", "sets the exit status", "judges itself"],
)
def test_a_suite_with_hooks_of_pytest_is_refused(hook: str, alone: Played) -> None:
    """What chooses the tests or judges them is the harness alone."""
    alone.enrol("hooked", HONEST, conftest=hook)
    assert alone.play().status == 4
    assert "may not carry hooks of pytest, but there is hooked/conftest.py" in alone.out


@pytest.mark.faults
def test_a_worker_that_died_is_not_green(alone: Played) -> None:
    """xdist starts another worker, which has nothing to build on: the rest did not run."""
    alone.enrol("dies", HEAD + CHECK + TEST.replace("    assert", "    os._exit(0)\n    assert"))
    alone.enrol("lives", HONEST)
    assert alone.play("-n", "2").status in (2, 16), alone.out
    assert alone.report("lives").verdict is Verdict.PASSED
    assert alone.report("dies").verdict in (Verdict.INFRA, Verdict.INTERRUPTED)


# %% On the real Swarm

ANY_PAGE = '''"""custom-html, by somebody who is content with any page."""
import pytest
from harness import App, check

@check
def some_file_is_there(app: App) -> None:
    assert app.read("app", "/usr/share/nginx/html/index.html")

@pytest.mark.functional
def test_any_page_will_do(app: App) -> None:
    answer = app.session().get(f"https://{app.domain}/", timeout=2)
    assert answer.status_code in (200, 404, 502, 503)

@pytest.mark.functional
def test_the_page_is_nginx_s(app: App) -> None:
    assert "nginx" in app.get("/").headers["Server"]
'''


@pytest.mark.swarm
def test_a_suite_that_takes_the_proxys_own_page_is_named(tmp_path: Path) -> None:
    """Against the stopped app the proxy answers itself; the test that passes then proves nothing."""
    run = Real(tmp_path, "custom-html", ANY_PAGE, "--stages", "functional")
    found = run.report
    assert (run.status, found.verdict) == (1, Verdict.SUITE), run.out
    assert {case.id for case in found.failed} == {
        "test_any_page_will_do",
        "test_any_page_will_do[while-stopped]",
    }
    assert found.phases["stop"] + found.phases["control"] < 5.0


@pytest.mark.swarm
def test_the_proxys_default_certificate_is_no_answer() -> None:
    """For a name without a certificate of ours Traefik shows its own; no request gets through then."""
    domain = "nobody.elsewhere.test"
    app = App(domain=domain, stack="none", recipe="none", life="fresh", settings=FOUND)
    with pytest.raises(RecipeFailure, match=r"(?i)certificate"):
        app.get("/", status=404)


BASE_AGAIN = """#!/bin/sh
# abra, but every deployment takes the published version, whatever is checked out.
case "$*" in *"app deploy"*) git -C "$ABRA_DIR/recipes/custom-html" checkout --quiet 1.1.0+1.22.1 ;; esac
exec {abra} "$@"
"""


@pytest.mark.swarm
def test_a_head_that_was_never_deployed_is_not_green(tmp_path: Path) -> None:
    """An upgrade that deploys the published version again is told by the label's commit."""
    abra = tmp_path / "abra"
    abra.write_text(BASE_AGAIN.format(abra=shutil.which(FOUND.abra)))
    abra.chmod(0o755)
    suite = (CHECKOUT / "recipes_tests" / "custom-html" / "test_custom_html.py").read_text()
    run = Real(tmp_path, "custom-html", suite, "--stages", "upgrade", CCCI_ABRA=str(abra))
    found = run.report
    assert (run.status, found.verdict, found.stage) == (1, Verdict.RECIPE, "upgrade"), run.out
    assert "the head was never deployed" in found.reason


@pytest.mark.parametrize(
    ("what", "variant"),
    [
        ("the proxy's own page", "proxy-404"),
        ("an old task that still answers", "old-task"),
        ("an update rolled back, with its old labels", "rollback"),
        ("a new version that changes nothing", "no-change"),
        ("a snapshot without the dump", "backup-hook-fails"),
        ("a restore of nothing", "restore-nothing"),
    ],
)
def test_what_swarm_decides_is_caught_in_the_zoo(what: str, variant: str) -> None:
    """Each of these recipes is run on the real Swarm with the zoo, where it must not come out green."""
    (found,) = zoo.variants([variant])
    assert Verdict(found.verdict).colour == "red" and found.stage in plan.STAGES, what


@pytest.mark.parametrize(
    ("deployed", "proves"),
    [("0123abcd", True), ("0123abcd+U", True), ("", False), ("fedcba98", False), ("0123", False)],
)
def test_only_the_heads_own_label_proves_the_head(
    deployed: str, proves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rollback the old labels stand there: no label, another commit's, or half of one."""
    service = swarm.Service(
        *("id", "app", "image", "replicated", 1, "any", "completed", "", ""),
        labels={"coop-cloud.s.chaos-version": deployed} if deployed else {},
    )
    monkeypatch.setattr(swarm, "view", lambda stack, api=None: swarm.StackView(stack, (service,)))
    run = Run.__new__(Run)
    run.ref = "0123abcd" * 5
    app = App(domain="d", stack="s", recipe="r", life="upgrade", settings=FOUND)
    refused = pytest.raises(RecipeFailure, match="the head was never deployed")
    with contextlib.nullcontext() if proves else refused:
        lifecycle._prove_the_head(run, app)


@pytest.mark.parametrize("stage", plan.STAGES)
def test_a_declared_stage_that_never_ran_is_not_green(stage: str) -> None:
    """Of a run that says it finished, a planned stage without a case is no pass, whichever it is."""
    kept = [case(name) for name in plan.STAGES if name != stage]
    found = verdict.judge([started(*plan.STAGES), *kept, finished()])
    if stage == "functional":  # a suite may have none, and then stops at level three
        assert report.build([started(), *kept, finished()]).level == 3
    else:
        assert found.verdict is Verdict.INFRA


@pytest.mark.parametrize("missing", ["kept[after-restore]", "kept[while-stopped]", "test_works"])
def test_a_planned_case_that_never_ran_is_not_green(missing: str) -> None:
    """Also within a stage that has other cases: a check or a negative control that nobody reached."""
    planned = ["kept[after-restore]", "kept[while-stopped]", "test_works"]
    made = {
        "kept[after-restore]": case("restore", id="kept[after-restore]"),
        "kept[while-stopped]": Event(1.0, "control", {"id": planned[1], "outcome": "held"}),
        "test_works": case("functional", id="test_works"),
    }
    whole = [
        started(planned=planned),
        *(case(name) for name in plan.STAGES),
        *made.values(),
        finished(),
    ]
    assert verdict.judge(whole).verdict is Verdict.PASSED
    found = verdict.judge([event for event in whole if event is not made[missing]])
    assert (
        found.verdict is Verdict.INFRA and f"{missing} was planned but not reached" in found.reason
    )
