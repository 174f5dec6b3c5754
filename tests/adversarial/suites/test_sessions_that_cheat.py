"""Suites that end, hide or judge their own session; none may be green."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.verdicts import Verdict
from harness.reporting import run_dir
from tests.adversarial.suites.suite_session import CHECK, HONEST, SEED, TEST, SuiteSession


@pytest.fixture
def alone(tmp_path: Path) -> SuiteSession:
    """A session for suites that end more than themselves."""
    return SuiteSession(tmp_path)


def test_a_suite_that_replaces_a_stage_is_not_green(alone: SuiteSession) -> None:
    """The first step after the replacement fails, and so does the rest of the run."""
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
    found = alone.run().report()
    assert (alone.exit_code, found.verdict) == (1, Verdict.SUITE)
    assert "replaced a part of the harness: harness.lifecycle.restore" in found.reason
    assert found.level == 0 and not [s.name for s in found.stages[2:] if s.outcome == "pass"]


@pytest.mark.parametrize(
    ("code", "exit_code", "message"),
    [
        ("os._exit(0)", 2, "the run died"),
        ("pytest.exit('done', returncode=0)", 1, "it ended the whole session: done"),
        ("os.kill(os.getpid(), 15)", 2, "interrupted"),
        ("(Path(run.dir, 'events.jsonl').open('a').write(FORGED), os._exit(0))", 2, "the run died"),
    ],
    ids=["os._exit", "pytest.exit", "SIGTERM", "forges its end and exits"],
)
def test_a_suite_that_ends_the_session_is_not_green(
    code: str, exit_code: int, message: str, alone: SuiteSession
) -> None:
    forged = 'FORGED = \'{"t": 1, "event": "run-finished", "how": "finished"}\\n\'\n'
    test = TEST.replace("app: App", "run: Run, app: App").replace(
        "    assert", f"    {code}\n    assert"
    )
    alone.enrol("ending", SEED + forged + CHECK + test)
    assert alone.run().exit_code == exit_code, alone.output
    folder = alone.folder / "runs" / "7"
    found = (
        run_dir.read(folder) if (folder / "report.json").exists() else run_dir.finish_dead(folder)
    )
    assert found.verdict.exit_code == exit_code and found.level in (None, 0)
    assert message in f"{found.reason} {found.verdict.value}"


def test_an_exit_hook_of_a_suite_cannot_change_the_exit_code(alone: SuiteSession) -> None:
    """`os._exit(0)` after pytest has finished would turn a red session green."""
    code = SEED + "import atexit\natexit.register(os._exit, 0)\n" + CHECK
    alone.enrol("late", code + TEST.replace("assert", "assert not"))
    assert alone.run().exit_code == 1, alone.output


@pytest.mark.parametrize(
    ("code", "message"),
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
def test_a_suite_that_vanishes_at_import_is_not_green(
    code: str, message: str, alone: SuiteSession
) -> None:
    """Without its checks, the generic stages alone would pass."""
    alone.enrol("gone", code)
    assert alone.run().exit_code != 0
    assert message in alone.output
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
def test_a_suite_with_pytest_hooks_is_refused(hook: str, alone: SuiteSession) -> None:
    alone.enrol("hooked", HONEST, conftest=hook)
    assert alone.run().exit_code == 4
    assert "a suite may not contain pytest hooks, but there is hooked/conftest.py" in alone.output


@pytest.mark.faults
def test_a_worker_that_died_is_not_green(alone: SuiteSession) -> None:
    """xdist starts another worker, on which nothing has been installed."""
    alone.enrol("dies", SEED + CHECK + TEST.replace("    assert", "    os._exit(0)\n    assert"))
    alone.enrol("lives", HONEST)
    assert alone.run("-n", "2").exit_code in (2, 16), alone.output
    assert alone.report("lives").verdict is Verdict.PASSED
    assert alone.report("dies").verdict in (Verdict.INFRA, Verdict.INTERRUPTED)
