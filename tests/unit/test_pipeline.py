"""The pipelines in .drone.yml: what they run, and that their limits are the harness's."""

import re
from pathlib import Path
from typing import Any

import yaml

from harness import settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".drone.yml").read_text()
PIPELINES: dict[str, dict[str, Any]] = {p["name"]: p for p in yaml.safe_load_all(TEXT)}


def commands(pipeline: str) -> list[str]:
    """Return all commands of a pipeline, in order."""
    return [c for step in PIPELINES[pipeline]["steps"] for c in step["commands"]]


def test_each_pipeline_has_its_event() -> None:
    events = {name: p["trigger"]["event"] for name, p in PIPELINES.items()}
    assert events == {"self-test": ["push"], "recipe-ci": ["custom"]}
    assert {p["type"] for p in PIPELINES.values()} == {"exec"}


def test_limit_capacity_and_slots_are_the_same_number() -> None:
    assert PIPELINES["recipe-ci"]["concurrency"] == {"limit": settings.SLOTS}
    documents = "\n".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))
    assert set(re.findall(r"DRONE_RUNNER_CAPACITY=(\d+)", documents)) == {str(settings.SLOTS)}


def test_no_parameter_is_substituted_into_the_script() -> None:
    """Drone replaces `${NAME}` in the script's text, so the shell would run a value as code."""
    assert "${" not in TEXT


def test_pytest_is_the_last_command_and_the_shells_own_child() -> None:
    """Anything between shell and pytest could hide a cancel or change the exit code (incident C4)."""
    last = commands("recipe-ci")[-1]
    assert last == "pytest recipes_tests"
    assert not re.search(r"[|&;`$()]|\bexec\b|\btrap\b", last)


def test_a_step_sets_home_and_prints_its_lane() -> None:
    """Drone's own HOME is new for each build, and only the host sets the janitor's age."""
    steps = [step for p in PIPELINES.values() for step in p["steps"]]
    assert all(step["environment"]["HOME"] == "/root" for step in steps)
    assert 'echo "quick=$CCCI_QUICK"' in commands("recipe-ci")
    assert "CCCI_JANITOR_MAX_AGE" not in TEXT


def test_the_self_test_lints_and_tests() -> None:
    assert commands("self-test")[0] == "scripts/lint.sh"
    assert "not swarm" in commands("self-test")[1]
