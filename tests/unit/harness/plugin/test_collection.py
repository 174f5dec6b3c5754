"""What real pytest collects for recipes, and what it refuses before anything is deployed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.harness.plugin.suites_folder import GOOD, Suites


@pytest.fixture
def suites(tmp_path: Path) -> Suites:
    """An empty folder of suites."""
    return Suites(tmp_path)


def test_an_empty_folder_gets_all_generic_steps(suites: Suites) -> None:
    """Without any configuration; the generic check is used."""
    suites.add("plain")
    names = suites.collected()
    assert names[0] == "test_lint[plain]" and names[-1] == "test_leave_no_trace[plain]"
    assert "the_witness_survives[after-restore-plain]" in names
    assert len(names) == 14


def test_a_suites_check_replaces_the_sentinel(suites: Suites) -> None:
    """It becomes a case after each operation, and a negative control."""
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
    """It upgrades, checks and runs the functional tests."""
    suites.add("good", GOOD)
    expected = ["lint", "base", "upgrade", "kept[after-upgrade]", "works", "leave_no_trace"]
    quick = [n.removeprefix("test_").replace("[good]", "") for n in suites.collected("-m", "quick")]
    assert quick == expected
    assert suites.collected("--quick") == suites.collected("-m", "quick")
    assert suites.collected(CCCI_QUICK="1") == suites.collected("-m", "quick")


@pytest.mark.parametrize("how", ["marker", "option", "environment"])
def test_one_stage_brings_the_steps_it_needs(suites: Suites, how: str) -> None:
    """And the cleanup, always."""
    suites.add("good", GOOD)
    names = {
        "marker": lambda: suites.collected("-m", "restore"),
        "option": lambda: suites.collected("--stages", "restore"),
        "environment": lambda: suites.collected(STAGES="restore"),
    }[how]()
    steps = [name.partition("[")[0].removeprefix("test_") for name in names]
    assert steps == ["install", "health", "seed", "backup", "restore", "kept", "leave_no_trace"]


def test_recipes_run_one_after_the_other(suites: Suites) -> None:
    suites.add("one")
    suites.add("two")
    names = suites.collected()
    assert [("one" in name) for name in names] == [True] * 14 + [False] * 14


def test_a_keyword_selects_a_recipe(suites: Suites) -> None:
    """Its generic steps and its suite."""
    suites.add("good", GOOD)
    suites.add("other")
    names = suites.collected("-k", "good")
    assert len(names) == 17 and not [name for name in names if "other" in name]


def test_a_suites_file_brings_the_generic_steps(suites: Suites) -> None:
    """Its checks need an app."""
    suites.add("good", GOOD)
    suites.add("other")
    names = suites.collected(path="good/test_good.py")
    assert names[0] == "test_lint[good]" and len(names) == 17


@pytest.mark.parametrize(
    ("code", "message"),
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
def test_a_suite_that_breaks_a_rule_is_refused(suites: Suites, code: str, message: str) -> None:
    suites.add("bad", code)
    done = suites.collect()
    assert done.returncode in (2, 4)
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "goood"], "did you mean 'good'?"),
        (["--ref", "main"], "must be a full commit sha"),
        (["--stages", "instal"], "did you mean 'install'?"),
        (["-m", "quik"], "did you mean 'quick'?"),
    ],
    ids=["recipe", "ref", "stage", "marker"],
)
def test_a_misspelt_request_is_refused(suites: Suites, options: list[str], message: str) -> None:
    """Otherwise nothing would be selected, and the session would be green."""
    suites.add("good", GOOD)
    done = suites.collect(*options)
    assert done.returncode == 4
    assert message in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("helth:\n  path: /\n", "did you mean 'health'?"),
        ("health:\n  paht: /\n", "recipe.yml:2"),
        ("timeouts:\n  deploy: soon\n", "deploy"),
        ("health: [\n", "recipe.yml"),
        ("not_applicable:\n  backupp: none\n", "did you mean 'backup'?"),
    ],
)
def test_a_mistake_in_recipe_yml_names_file_and_key(
    suites: Suites, text: str, message: str
) -> None:
    suites.add("good", GOOD, text)
    done = suites.collect()
    assert done.returncode == 4
    assert "recipe.yml" in done.stderr and message in done.stderr


def test_an_unknown_ccci_variable_is_refused(suites: Suites) -> None:
    suites.add("good", GOOD)
    done = suites.collect(CCCI_RUN_DIR="/x")
    assert done.returncode == 4 and "unknown setting 'CCCI_RUN_DIR'" in done.stderr


def test_incident_i3_a_folder_without_suites_is_refused(suites: Suites) -> None:
    """I3: nothing collected is never a success."""
    done = suites.collect()
    assert done.returncode == 4 and "no recipe is enrolled" in done.stderr


def test_without_docker_the_session_does_not_start(suites: Suites) -> None:
    suites.add("good", GOOD)
    done = suites.pytest(DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 16
    assert "cannot start: cannot talk to Docker" in done.stdout + done.stderr
