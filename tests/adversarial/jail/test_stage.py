"""The stage of a recipe's own tests: what they can prove, and what they cannot change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests

from bridge.builds import drone_log
from contract.marker import MARKER
from harness import plan, settings
from harness.errors import RecipeFailure
from harness.jail.jail import JailResult
from harness.jail.untrusted_junit import UntrustedCase, UntrustedResults
from harness.reporting import report, run_dir, terminal
from harness.runs.record import Request, RunPlan, RunRecord
from harness.runs.run import Run
from harness.secret import Secret
from harness.settings import Settings
from harness.stages import recipe_tests
from harness.suites.app import App
from harness.suites.outcome import Outcome
from harness.suites.trusted import Trust
from harness.swarm.abra import Abra
from tests.adversarial.jail.jail_env import DOMAIN, proxy

GREEN = """<testsuites><testsuite tests="1"><testcase classname="{name}" name="test" time="0"/>
</testsuite></testsuites>"""
FORGED_END: dict[str, object] = {
    "event": "run-report",
    "run": "7",
    "recipe": "own",
    "ref": "a" * 40,
    "lane": "cold",
}
FORGED_END |= {"verdict": "passed", "commit_state": "success", "level": 5}


class Answering(App):
    """A fake app that answers, or does not."""

    up = True

    def get(self, path: str, **options: Any) -> requests.Response:
        """Return an empty answer."""
        if not self.up:
            raise RecipeFailure("GET https://app/ got no answer: refused\n  more")
        return requests.Response()


@dataclass
class Stage:
    """A run in which lint passed and install failed, before the stage of the recipe's own tests."""

    run: Run
    app: Answering
    printed: list[str] = field(default_factory=list)

    def verify(self, code: str, **files: str) -> str:
        """Run own tests with this code; return the failure, or ""."""
        tests = self.run.checkout_dir / "tests"
        tests.mkdir(parents=True, exist_ok=True)
        for name, text in {"test_own": code, **files}.items():
            (tests / f"{name}.py").write_text(text)
        try:
            recipe_tests.run_own_tests(self.run, self.app)
        except RecipeFailure as error:
            return str(error)
        return ""

    def report(self) -> report.Report:
        """Finish the run and return its report."""
        self.run.recorder.record("run-finished", how="finished", reason="")
        return run_dir.write_all(self.run.dir)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A run that is about to start this stage, with an app behind a proxy."""
    found = settings.load({"CCCI_RUNS_DIR": str(tmp_path), "CCCI_PROXY": "127.0.0.1:9"})
    with proxy() as (host, port):
        printed: list[str] = []
        made = _run(replace(found, proxy=f"{host}:{port}"), printed.append)
        app = Answering(DOMAIN, "stack", "own", "fresh", made.settings)
        yield Stage(made, app, printed)


def _run(found: Settings, console: Callable[[str], None]) -> Run:
    planned = RunPlan("own", stages=plan.STAGES, trust=Trust())
    record = RunRecord.begin(found, Request(), planned, "run-7", console)
    made = Run(record, Abra("abra", record.abra_dir), "0123abcd" * 5)
    made.recorder.record(
        "run-started", run="run-7", recipe="own", lane="cold", stages=list(plan.STAGES)
    )
    outcomes = {
        "test_lint": Outcome("pass"),
        "test_install": Outcome("fail", "recipe", "it is broken"),
    }
    for name, result in outcomes.items():
        made.recorder.case(name, plan.GENERIC[name], result, seconds=1.0)
    return made


def test_each_own_test_is_a_case_of_this_stage(stage: Stage) -> None:
    problem = stage.verify(
        "import os, urllib.request, pytest\n"
        "def test_page():\n"
        "    url = f\"http://{os.environ['APP_DOMAIN']}:443/\"\n"
        "    assert b'the app of' in urllib.request.urlopen(url, timeout=10).read()\n"
        "def test_wrong():\n"
        "    assert 1 == 2\n"
        "@pytest.mark.skip(reason='later')\n"
        "def test_later():\n"
        "    pass\n"
    )
    assert problem.startswith(
        "1 of the recipe's own tests failed; the first: tests/test_own::test_wrong: assert 1 == 2"
    )
    cases = {case.id: case.outcome for case in stage.report().cases if case.stage == "recipe_tests"}
    assert cases == {
        "tests/test_own::test_page": "pass",
        "tests/test_own::test_wrong": "fail",
        "tests/test_own::test_later": "skip",
    }
    assert [c.fault for c in stage.report().failed if c.stage == "recipe_tests"] == ["recipe"]
    log = stage.run.dir / "logs" / "fresh-recipe_tests.log"
    assert "1 failed, 1 passed, 1 skipped" in log.read_text()


FORGERIES = {
    "exit code": "import os\nos._exit(0)\n",
    "results": f"open('/results', 'w').write('''{GREEN.format(name='x')}''')\nimport os\nos._exit(1)\n",
    "nothing": "",
    "skipped": "import pytest\n@pytest.mark.skip\ndef test_it():\n    assert 0\n",
    "bomb": "open('/results', 'w').write('<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>')\n"
    "import os\nos._exit(0)\n",
    "huge": "open('/results', 'w').write('<a>' + 'x' * 8_000_000)\nimport os\nos._exit(0)\n",
    "collection": "import nowhere\n",
}


@pytest.mark.parametrize("code", FORGERIES.values(), ids=FORGERIES)
def test_results_without_evidence_fail_the_stage(stage: Stage, code: str) -> None:
    """An exit code without results, results that contradict it, no results at all."""
    assert stage.verify(code)


def test_forged_results_do_not_change_other_stages(stage: Stage) -> None:
    """They can claim a pass of this stage; install stays failed, the verdict red and the level 0."""
    forged = GREEN.format(name="own.install") + " " * 10
    marked = MARKER + json.dumps(FORGED_END)
    code = f"import os\nopen('/results', 'w').write({forged!r})\n"
    code += f"os.write(2, b'\\n' + {marked.encode()!r} + b'\\n')\nos._exit(0)\n"
    conftest = "import sys\nsys.stderr = sys.__stderr__\n"
    assert stage.verify(code, conftest=conftest) == ""
    found = stage.report()
    outcomes = {s.name: s.outcome for s in found.stages}
    assert (outcomes["recipe_tests"], outcomes["install"]) == ("pass", "fail")
    assert (found.verdict.value, found.level) == ("recipe", 0)
    suite = ElementTree.parse(stage.run.dir / "junit.xml").getroot()[0]
    classes = {c.get("name"): c.get("classname") for c in suite.findall("testcase")}
    assert classes["own/install::test"] == "own.recipe_tests"
    assert classes["test_install"] == "own.install"


def test_marked_lines_in_its_output_are_not_parsed(stage: Stage) -> None:
    """A marker in its output, a message or a name must not be one in the log of the build."""
    mark = MARKER + json.dumps(FORGED_END)
    escaped = mark.replace('"', "&quot;")
    forged = f'<t><testcase name="&#10;{escaped}"><failure message="&#10;{escaped}">\n{mark}\n'
    code = f"import os\nopen('/results', 'w').write({forged + '</failure></testcase></t>'!r})\n"
    code += "for fd in range(20):\n    try:\n"
    code += f"        os.write(fd, b'\\n' + {mark.encode()!r} + b'\\n')\n"
    code += "    except OSError:\n        pass\nos._exit(1)\n"
    problem = stage.verify(code)
    found = stage.report()
    log = (stage.run.dir / "logs" / "fresh-recipe_tests.log").read_text()
    assert MARKER.strip() in log, "the test proves nothing"
    text = "\n".join([*stage.printed, problem, log, terminal.summary(found, stage.run.dir)])
    assert drone_log.read(text).report is None
    assert found.verdict.value == "recipe"


def test_a_secret_in_its_output_is_masked(stage: Stage) -> None:
    """It may have got one from the app. Names of tests are masked as well; this is not a leak of the run."""
    stage.run.recorder.redactor.learn([Secret("sesame-open-1234")])
    problem = stage.verify(
        "import pytest\n"
        "@pytest.mark.parametrize('word', ['sesame-open-1234'])\n"
        "def test_sesame(word):\n"
        "    assert word == ''\n"
    )
    stage.report()
    texts = [
        p.read_text() for p in stage.run.dir.rglob("*") if p.is_file() and "abra" not in p.parts
    ]
    assert not [text for text in (problem, *texts, *stage.printed) if "sesame-open-1234" in text]
    assert not stage.run.recorder.leaked


def test_terminal_codes_are_removed_from_its_output(stage: Stage) -> None:
    problem = stage.verify("def test_it():\n    print('\\x1b[2Jcleared')\n    assert 0\n")
    assert "cleared" in problem and "\x1b" not in problem


def test_a_dangling_symlink_is_copied_as_a_symlink(stage: Stage) -> None:
    tests = stage.run.checkout_dir / "tests"
    tests.mkdir(parents=True)
    (tests / "gone").symlink_to("nowhere")
    assert stage.verify("def test_it():\n    pass\n") == ""


def test_without_an_answer_of_the_app_they_are_not_run(stage: Stage) -> None:
    """An earlier stage broke the app, so they stay unverified."""
    stage.app.up = False
    with pytest.raises(pytest.skip.Exception, match="not run: the app no longer answers: GET"):
        stage.verify("def test_it():\n    pass\n")


def test_untrusted_own_tests_are_not_run(stage: Stage) -> None:
    """The stage checks the trust again, even if it was planned."""
    stage.run.record.plan = replace(stage.run.record.plan, trust=None)
    with pytest.raises(pytest.skip.Exception, match="the recipe has no tests/test_"):
        stage.verify("def test_it():\n    pass\n")
    assert not (stage.run.dir / "logs").exists()


def test_too_large_tests_are_refused_before_they_are_copied(stage: Stage) -> None:
    tests = stage.run.checkout_dir / "tests"
    tests.mkdir(parents=True)
    (tests / "test_own.py").touch()
    with (tests / "big").open("wb") as file:
        file.truncate(recipe_tests.MAX_TESTS_SIZE + 1)
    with pytest.raises(RecipeFailure, match="have 20 MiB of files; the maximum is 20 MiB"):
        recipe_tests.run_own_tests(stage.run, stage.app)


def test_a_commit_without_tests_is_skipped(stage: Stage) -> None:
    stage.run.checkout_dir.mkdir(parents=True)
    with pytest.raises(pytest.skip.Exception, match="the recipe has no tests/test_"):
        recipe_tests.run_own_tests(stage.run, stage.app)


PASSED = UntrustedResults((UntrustedCase("a", "pass", 0.0),))
FAILED = UntrustedResults((UntrustedCase("a", "pass", 0.0), UntrustedCase("b", "fail", 0.0, "no")))


@pytest.mark.parametrize(
    ("exit_code", "results", "message"),
    [
        (0, PASSED, ""),
        (0, FAILED, "1 of the recipe's own tests failed; the first: b: no"),
        (1, FAILED, "1 of the recipe's own tests failed; the first: b: no"),
        (1, PASSED, "failed with exit code 1"),
        (5, UntrustedResults(), "exit code 5: no test was found"),
        (137, PASSED, "killed by signal 9"),
        (-9, PASSED, "killed by signal 9"),
        (None, PASSED, "timed out after 300 s"),
        (
            0,
            UntrustedResults(unreadable="no results file"),
            "their results cannot be read: no results file",
        ),
        (
            0,
            UntrustedResults((UntrustedCase("a", "skip", 0.0),)),
            "none of the recipe's own tests passed",
        ),
        (0, UntrustedResults(), "none of the recipe's own tests passed"),
    ],
)
def test_any_sign_of_failure_counts(
    exit_code: int | None, results: UntrustedResults, message: str
) -> None:
    """Exit code, timeout, failed cases and missing results; self-reported passes are never enough."""
    problem = recipe_tests.judge(JailResult(exit_code, "", b"", 1.0), results, 300.0)
    assert message in problem if message else problem == ""
