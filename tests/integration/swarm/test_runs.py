"""Whole runs on the real Swarm."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import settings
from harness.reporting import events
from harness.swarm import containers, engine
from sandbox.trials import product, zoo
from tests.support import tiny_recipe
from tests.support.run_process import CLI, SUITES, RunProcess

pytestmark = pytest.mark.swarm
FOUND = settings.load(os.environ)


def start(
    *options: str,
    recipe: str = "custom-html",
    ref: str = "",
    shell: bool = False,
    suites: Path = SUITES,
) -> RunProcess:
    """Start a run of a demo recipe, at the head of its pull request if there is no ref."""
    ref = ref or product.head_of(recipe)
    return RunProcess(*options, suites=suites, recipe=recipe, ref=ref, shell=shell)


def check_nothing_is_left(run: RunProcess) -> None:
    """Require that no Docker object of the run's apps exists."""
    found = run.report
    assert tiny_recipe.docker_leftovers(FOUND, found.recipe, found.run, found.ref) == []


def cli(*words: str) -> str:
    """Run `cc-ci` and return its output."""
    return subprocess.run([*CLI, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def green() -> RunProcess:
    """One green cold run of custom-html, which several tests check."""
    return start().finish()


def test_a_good_recipe_reaches_level_five(green: RunProcess) -> None:
    """Every stage passes behind the entry points of the real proxy (N3)."""
    found = green.report
    assert (green.exit_code, found.verdict.value, found.level) == (0, "passed", 5)
    assert {stage.outcome for stage in found.stages} == {"pass"}


def test_all_reports_agree(green: RunProcess) -> None:
    body = json.loads((green.dir / "report.json").read_text())
    (suite,) = ElementTree.parse(green.dir / "junit.xml").getroot()
    cases = suite.findall("testcase")
    stages = {p.get("value") for c in cases for p in c.iter("property") if p.get("name") == "stage"}
    assert body["verdict"] == "passed" and body["level"] == 5
    assert len(cases) == len(body["cases"]) == int(suite.get("tests", "0"))
    assert stages == {stage["name"] for stage in body["stages"]}
    assert "Level 5" in (green.dir / "summary.md").read_text()


def test_the_time_of_every_phase_is_reported(green: RunProcess) -> None:
    """Together they are most of the time of the run."""
    found = green.report
    expected = {
        "queue",
        "fetch",
        "lint",
        "deploy",
        "health",
        "seed",
        "backup",
        "restore",
        "upgrade",
    }
    assert expected <= set(found.phases)
    assert sum(found.phases.values()) > 0.8 * found.seconds


def test_a_green_run_leaves_nothing_behind(green: RunProcess) -> None:
    check_nothing_is_left(green)
    assert not (green.dir / "abra").exists()
    entries = [path.read_text() for path in FOUND.active_dir.glob("[!.]*")]
    assert not any(green.id in text for text in entries)


def test_the_terminal_shows_stages_level_and_how_to_reproduce(green: RunProcess) -> None:
    out = green.out
    for text in (
        "app: starting",
        "✓ test_install[custom-html]",
        "level 5",
        "reproduce: pytest",
        "phases",
    ):
        assert text in out


def test_the_report_says_that_abra_is_a_stand_in(green: RunProcess) -> None:
    found = green.report
    if "standin" not in found.abra:
        pytest.skip("a real abra is used here")
    assert any("stand-in" in note for note in found.notes)


def test_the_quick_lane_upgrades_and_has_no_level() -> None:
    run = start("-m", "quick").finish()
    found = run.report
    assert run.exit_code == 0, run.out
    assert (found.verdict.value, found.level, found.lane) == ("passed", None, "quick")
    assert [s.name for s in found.stages] == ["lint", "functional", "upgrade", "cleanup"]
    assert "lower confidence" in run.out
    check_nothing_is_left(run)


def secrets_of(service: str) -> list[str]:
    """Return the values of all secrets of the running service whose name has this ending."""
    names = [s["Spec"]["Name"] for s in engine.client().services()]
    full = next(name for name in names if name.endswith(service))
    stack, _, short = full.rpartition("_")
    words = ["sh", "-c", "for f in /run/secrets/*; do cat $f; echo; done"]
    return containers.execute(stack, short, words).out.split()


def test_generated_secrets_appear_in_no_file_of_the_run() -> None:
    """The secrets that abra generates for miniflux."""
    run = start("--stages", "functional", recipe="miniflux")
    try:
        run.until_printed("test_install[miniflux]")
        values = secrets_of("miniflux_ci_test_app")
        run.wait()
    finally:
        run.kill()
    assert run.exit_code == 0, run.out
    assert len(values) == 2
    texts = {
        path.name: path.read_text(errors="replace") for path in run.dir.rglob("*") if path.is_file()
    }
    for value in values:
        assert value not in run.out
        assert not [name for name, text in texts.items() if value in text]


def test_incident_c3_the_second_run_of_a_recipe_waits_and_names_the_first() -> None:
    """C3: two runs of one recipe never overlap."""
    first, second = start("--stages", "install"), None
    try:
        first.until_printed("app: ")
        second = start("--stages", "install")
        line = second.until_printed("waiting for")
        assert first.id in line and "custom-html" in line
        assert first.wait() == 0
        assert second.wait() == 0
    finally:
        first.kill()
        if second:
            second.kill()


def test_an_unknown_commit_is_a_usage_error() -> None:
    """Before anything is deployed; the message has the commit."""
    run = start(ref="0123456789" * 4).finish()
    assert run.exit_code == 4
    assert "commit 0123456789012345678901234567890123456789 is not in" in run.out
    assert [case.outcome for case in run.report.cases].count("error") == 1
    check_nothing_is_left(run)


def test_the_app_of_a_failed_run_can_be_kept_and_removed_by_hand() -> None:
    """The commands that `--keep` prints for attaching and removing work."""
    (variant,) = zoo.variants(["functional-fails"])
    with zoo.suites([variant]) as folder:
        run = start(
            "--stages", "functional", "--keep", recipe=variant.recipe, suites=folder
        ).finish()
    assert run.exit_code == 1
    (domain,) = set(re.findall(r"cc-ci attach (\S+);", run.out))
    assert f"cc-ci janitor --now {domain}" in run.out
    attached = cli("attach", domain)
    assert "docker exec -it" in attached and domain in attached
    assert f"removed {domain}" in cli("janitor", "--now", domain)
    check_nothing_is_left(run)


def test_sigterm_tears_down_with_the_verdict_interrupted() -> None:
    run = start()
    try:
        run.until_printed("app: ")
        run.process.send_signal(signal.SIGTERM)
        run.wait()
    finally:
        run.kill()
    found = run.report
    assert (run.exit_code, found.verdict.value) == (2, "interrupted")
    assert (run.dir / "report.json").is_file() and (run.dir / "junit.xml").is_file()
    check_nothing_is_left(run)


def test_incident_c5_killing_the_parent_shell_tears_down() -> None:
    """C5: Drone kills only the step's shell; the run notices and cleans up by itself."""
    run = start(shell=True)
    try:
        run.until_printed("app: ")
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        run.wait_until_gone()
    finally:
        run.kill()
    assert run.report.verdict.value == "cancelled"
    check_nothing_is_left(run)


def test_the_next_run_reaps_what_a_killed_run_left() -> None:
    """Its janitor also writes the report of the dead run."""
    run = start()
    try:
        run.until_printed("test_install[custom-html]")
    finally:
        run.kill()
    again = start("--stages", "install")
    try:
        assert again.wait() == 0
    finally:
        again.kill()
    check_nothing_is_left(run)
    assert json.loads((run.dir / "report.json").read_text())["verdict"] == "interrupted"


@pytest.mark.zoo
@pytest.mark.parametrize("variant", zoo.variants(), ids=lambda variant: variant.name)
def test_a_broken_recipe_is_caught(variant: zoo.Variant) -> None:
    """Each broken recipe is caught at its own stage, for its own reason, and cleaned up (B2, B3)."""
    done, found = zoo.run(variant)
    assert zoo.problem(variant, done.exit_code, found) is None


def test_events_are_written_while_they_happen() -> None:
    run = start("--stages", "install")
    try:
        run.until_printed("test_install[custom-html]")
        assert not (run.dir / "report.json").exists(), "the run is over already"
        names = [event.name for event in events.read(run.dir / "events.jsonl").events]
        assert "run-started" in names and "case" in names
        assert run.wait() == 0
    finally:
        run.kill()
