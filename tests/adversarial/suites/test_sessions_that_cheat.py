"""A suite that ends, hides or judges the session it runs in; none of it is green."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.verdicts import Verdict
from harness.reporting import run_dir
from tests.support.suite_session import CHECK, HEAD, HONEST, TEST, Played


@pytest.fixture
def alone(tmp_path: Path) -> Played:
    """A folder for suites that end more than themselves."""
    return Played(tmp_path)


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
    found = (
        run_dir.read(folder) if (folder / "report.json").exists() else run_dir.finish_dead(folder)
    )
    assert found.verdict.exit_code == status and found.level in (None, 0)
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
    assert "a suite may not contain pytest hooks, but there is hooked/conftest.py" in alone.out


@pytest.mark.faults
def test_a_worker_that_died_is_not_green(alone: Played) -> None:
    """xdist starts another worker, which has nothing to build on: the rest did not run."""
    alone.enrol("dies", HEAD + CHECK + TEST.replace("    assert", "    os._exit(0)\n    assert"))
    alone.enrol("lives", HONEST)
    assert alone.play("-n", "2").status in (2, 16), alone.out
    assert alone.report("lives").verdict is Verdict.PASSED
    assert alone.report("dies").verdict in (Verdict.INFRA, Verdict.INTERRUPTED)
