"""What pytest collects for recipes, and what it refuses before anything is deployed; with real pytest.

A session that only collects runs within this process, as pytest's own tests of plugins do: it changes
nothing outside, and a new interpreter for each would take most of the time of all quick tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from harness.settings import CHECKOUT

# Rubbish of ours is not searched for unraisable errors; five times that is half of such a session's time.
ONLY_COLLECT = ("-p", "no:unraisableexception", "--collect-only", "-q")
LIFECYCLE = (CHECKOUT / "recipes_tests" / "test_lifecycle.py").read_text()
GOOD = """
import pytest
from harness import App, check, seed

@seed
def made(app: App) -> None:
    app.write("app", "/f", "x")

@check
def kept(app: App) -> None:
    assert app.read("app", "/f") == b"x"

@pytest.mark.functional
def test_works(app: App) -> None:
    assert app.get("/").text
"""


@dataclass(frozen=True)
class Collected:
    """What a session that only collected ended with, and what it said."""

    returncode: int
    stdout: str
    stderr: str


class Suites:
    """A folder of suites, and pytest run over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "test_lifecycle.py").write_text(LIFECYCLE)

    def add(self, recipe: str, code: str = "", settings: str = "") -> None:
        """Enrol a recipe."""
        place = self.folder / recipe
        place.mkdir()
        if code:
            (place / f"test_{recipe.replace('-', '_')}.py").write_text(code)
        if settings:
            (place / "recipe.yml").write_text(settings)

    def collect(self, *options: str, path: str = "", **env: str) -> Collected:
        """Let pytest collect the suites, as a user would; other than here nothing is changed by it."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(CHECKOUT),
            mock.patch.dict(os.environ, self._environment(env), clear=True),
            mock.patch.dict(sys.modules),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            words = [*self._words(path), *ONLY_COLLECT, *options]
            status = pytest.main(words)
        return Collected(int(status), out.getvalue(), err.getvalue())

    def pytest(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run pytest over the suites, as a user does."""
        return subprocess.run(
            [sys.executable, "-m", "pytest", *self._words(""), *options],
            cwd=CHECKOUT,
            env=self._environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _words(self, path: str) -> list[str]:
        words = ["-c", str(CHECKOUT / "pytest.ini"), "--rootdir", str(CHECKOUT)]
        return [*words, "-p", "harness.plugin", "-p", "no:cacheprovider", str(self.folder / path)]

    def _environment(self, env: Mapping[str, str]) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("CCCI_", "PYTEST_"))}
        return {**clean, "CCCI_SUITES_DIR": str(self.folder), **env}

    def collected(self, *options: str, path: str = "", **env: str) -> list[str]:
        """Return the names of the collected tests, in order."""
        done = self.collect(*options, path=path, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        names = [line.rpartition("::")[2] for line in done.stdout.splitlines() if "::" in line]
        told = re.search(r"^(\d+)(/\d+)? tests? collected", done.stdout, re.MULTILINE)
        assert told is not None and int(told[1]) == len(names), "pytest's own count is another one"
        return names


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    """An empty folder of suites."""
    return Suites(tmp_path)


def test_an_empty_folder_gets_the_whole_lifecycle(suites: Suites) -> None:
    """Without configuration every stage runs, with the sentinel as check."""
    suites.add("plain")
    names = suites.collected()
    assert names[0] == "test_lint[plain]" and names[-1] == "test_leave_no_trace[plain]"
    assert "the_witness_survives[after-restore-plain]" in names
    assert len(names) == 14


def test_a_suites_own_check_replaces_the_sentinel(suites: Suites) -> None:
    """A check becomes a case after each operation, in its place."""
    suites.add("good", GOOD)
    names = suites.collected()
    assert not [name for name in names if "witness" in name]
    assert [name for name in names if name.startswith("kept")] == [
        "kept[after-install]",
        "kept[after-redeploy]",
        "kept[after-restore]",
        "kept[while-stopped]",
        "kept[after-upgrade]",
    ]
    assert names.index("test_works") < names.index("test_backup[good]")


def test_the_quick_lane_has_one_life(suites: Suites) -> None:
    """`-m quick` upgrades, checks, and tests what the app is for; nothing else."""
    suites.add("good", GOOD)
    expected = ["lint", "base", "upgrade", "kept[after-upgrade]", "works", "leave_no_trace"]
    quick = [n.removeprefix("test_").replace("[good]", "") for n in suites.collected("-m", "quick")]
    assert quick == expected
    assert suites.collected("--quick") == suites.collected("-m", "quick")
    assert suites.collected(CCCI_QUICK="1") == suites.collected("-m", "quick")


@pytest.mark.parametrize("how", ["marker", "option", "environment"])
def test_asking_for_one_stage_brings_what_it_needs(suites: Suites, how: str) -> None:
    """A restore needs a backup, a seed and an install; they are added, and the cleanup always is."""
    suites.add("good", GOOD)
    names = {
        "marker": lambda: suites.collected("-m", "restore"),
        "option": lambda: suites.collected("--stages", "restore"),
        "environment": lambda: suites.collected(STAGES="restore"),
    }[how]()
    steps = [name.partition("[")[0].removeprefix("test_") for name in names]
    assert steps == ["install", "health", "seed", "backup", "restore", "kept", "leave_no_trace"]


def test_recipes_stay_apart_and_in_order(suites: Suites) -> None:
    """Two recipes run one after the other, each in its own order."""
    suites.add("one")
    suites.add("two")
    names = suites.collected()
    assert [("one" in name) for name in names] == [True] * 14 + [False] * 14


def test_a_keyword_selects_a_recipe(suites: Suites) -> None:
    """`-k` takes the recipe's lifecycle and its suite together."""
    suites.add("good", GOOD)
    suites.add("other")
    names = suites.collected("-k", "good")
    assert len(names) == 17 and not [name for name in names if "other" in name]


def test_a_suites_file_alone_brings_its_lifecycle(suites: Suites) -> None:
    """Running one file runs the recipe, since its checks need an app."""
    suites.add("good", GOOD)
    suites.add("other")
    names = suites.collected(path="good/test_good.py")
    assert names[0] == "test_lint[good]" and len(names) == 17


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (GOOD.replace("assert app.get", "app.get"), "asserts nothing"),
        (GOOD.replace('assert app.read("app", "/f") == b"x"', "assert True"), "asserts nothing"),
        (GOOD.replace("@pytest.mark.functional", ""), "must have exactly one stage"),
        (GOOD.replace("functional", "functionall"), "functionall"),
        (
            GOOD.replace("@check\n", "@pytest.mark.functional\n").replace("kept", "test_kept"),
            "no @check",
        ),
        (
            GOOD.replace(
                "@pytest.mark.functional", "@pytest.mark.functional\n@pytest.mark.install"
            ),
            "exactly",
        ),
    ],
    ids=["test", "check", "no-stage", "typo", "seed-alone", "two-stages"],
)
def test_a_suite_that_proves_nothing_is_refused(suites: Suites, code: str, says: str) -> None:
    """What could only pass, or has no place, stops the collection with a sentence."""
    suites.add("bad", code)
    done = suites.collect()
    assert done.returncode in (2, 4)
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--recipe", "goood"], "did you mean 'good'?"),
        (["--ref", "main"], "must be a full commit sha"),
        (["--stages", "instal"], "did you mean 'install'?"),
        (["-m", "quik"], "did you mean 'quick'?"),
    ],
    ids=["recipe", "ref", "stage", "marker"],
)
def test_what_cannot_be_asked_for_is_refused(suites: Suites, options: list[str], says: str) -> None:
    """A misspelt word is one clear sentence and not a green run of nothing."""
    suites.add("good", GOOD)
    done = suites.collect(*options)
    assert done.returncode == 4
    assert says in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("helth:\n  path: /\n", "did you mean 'health'?"),
        ("health:\n  paht: /\n", "recipe.yml:2"),
        ("timeouts:\n  deploy: soon\n", "deploy"),
        ("health: [\n", "recipe.yml"),
        ("not_applicable:\n  backupp: none\n", "did you mean 'backup'?"),
    ],
)
def test_a_wrong_setting_names_file_and_key(suites: Suites, text: str, says: str) -> None:
    """A misspelt key in recipe.yml is an error with file, line and what was probably meant."""
    suites.add("good", GOOD, text)
    done = suites.collect()
    assert done.returncode == 4
    assert "recipe.yml" in done.stderr and says in done.stderr


def test_an_unknown_setting_of_ours_is_refused(suites: Suites) -> None:
    """A misspelt CCCI_ variable does not silently do nothing."""
    suites.add("good", GOOD)
    done = suites.collect(CCCI_RUN_DIR="/x")
    assert done.returncode == 4 and "unknown setting 'CCCI_RUN_DIR'" in done.stderr


def test_incident_i3_no_suite_at_all_is_refused(suites: Suites) -> None:
    """I3: nothing collected is never a success."""
    done = suites.collect()
    assert done.returncode == 4 and "no recipe is enrolled" in done.stderr


def test_without_docker_nothing_starts(suites: Suites) -> None:
    """No engine is one sentence and the status of infrastructure trouble."""
    suites.add("good", GOOD)
    done = suites.pytest(DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 16
    assert "cannot start: cannot talk to Docker" in done.stdout + done.stderr
