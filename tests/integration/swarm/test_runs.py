"""Whole runs on the real Swarm, started as anybody starts them."""

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
from harness.swarm import engine
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
    """Start a run of a recipe of the sandbox, at the head of its pull request if no commit is named."""
    ref = ref or product.head_of(recipe)
    return RunProcess(*options, suites=suites, recipe=recipe, ref=ref, shell=shell)


def nothing_left(run: RunProcess) -> None:
    """Require that nothing with a name of the run's apps exists."""
    found = run.report
    assert tiny_recipe.docker_leftovers(FOUND, found.recipe, found.run, found.ref) == []


def cli(*words: str) -> str:
    """Run `cc-ci` and return what it printed."""
    return subprocess.run([*CLI, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def green() -> RunProcess:
    """One green cold run of custom-html, whose results several tests look at."""
    return start().to_end()


def test_a_good_recipe_reaches_level_five(green: RunProcess) -> None:
    """Every stage of custom-html passes behind the real proxy's entry points, and pytest ends with 0 (N3)."""
    found = green.report
    assert (green.exit_code, found.verdict.value, found.level) == (0, "passed", 5)
    assert {stage.outcome for stage in found.stages} == {"pass"}


def test_the_reports_say_the_same(green: RunProcess) -> None:
    """report.json, junit.xml and summary.md are made of the same events."""
    body = json.loads((green.dir / "report.json").read_text())
    (suite,) = ElementTree.parse(green.dir / "junit.xml").getroot()
    cases = suite.findall("testcase")
    stages = {p.get("value") for c in cases for p in c.iter("property") if p.get("name") == "stage"}
    assert body["verdict"] == "passed" and body["level"] == 5
    assert len(cases) == len(body["cases"]) == int(suite.get("tests", "0"))
    assert stages == {stage["name"] for stage in body["stages"]}
    assert "Level 5" in (green.dir / "summary.md").read_text()


def test_every_phase_has_its_time(green: RunProcess) -> None:
    """The times of the phases are there, and leave little of the whole unexplained."""
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
    """No object in Docker, no entry, no checkout of the run is left."""
    nothing_left(green)
    assert not (green.dir / "abra").exists()
    entries = [path.read_text() for path in FOUND.active_dir.glob("[!.]*")]
    assert not any(green.id in text for text in entries)


def test_the_terminal_tells_stages_level_and_how_to_repeat(green: RunProcess) -> None:
    """A person at a terminal sees what happened while it happens, and the summary."""
    out = green.out
    for text in (
        "app: starting",
        "✓ test_install[custom-html]",
        "level 5",
        "reproduce: pytest",
        "phases",
    ):
        assert text in out


def test_the_stand_in_for_abra_is_named_in_the_report(green: RunProcess) -> None:
    """Nobody takes a run with the stand-in for one with the real abra."""
    found = green.report
    if "standin" not in found.abra:
        pytest.skip("a real abra is used here")
    assert any("stand-in" in note for note in found.notes)


def test_the_quick_lane_upgrades_and_has_no_level() -> None:
    """A quick run upgrades the published version, tests what the app is for, and claims no level."""
    run = start("-m", "quick").to_end()
    found = run.report
    assert run.exit_code == 0, run.out
    assert (found.verdict.value, found.level, found.lane) == ("passed", None, "quick")
    assert [s.name for s in found.stages] == ["lint", "functional", "upgrade", "cleanup"]
    assert "lower confidence" in run.out
    nothing_left(run)


def secrets_of(service: str) -> list[str]:
    """Return the values of all secrets of the running service whose name ends so."""
    from harness.swarm import containers

    names = [s["Spec"]["Name"] for s in engine.client().services()]
    full = next(name for name in names if name.endswith(service))
    stack, _, short = full.rpartition("_")
    words = ["sh", "-c", "for f in /run/secrets/*; do cat $f; echo; done"]
    return containers.execute(stack, short, words).out.split()


def test_secrets_generated_for_an_app_appear_in_no_file() -> None:
    """What abra generated for miniflux stands in no output and in no file of the run."""
    run = start("--stages", "functional", recipe="miniflux")
    try:
        run.until_printed("test_install[miniflux]")
        values = secrets_of("miniflux_ci_test_app")
        run.end()
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


def test_the_second_run_of_a_recipe_waits_and_says_for_whom() -> None:
    """Two runs of one recipe never overlap; the second names the first (incident C3)."""
    first, second = start("--stages", "install"), None
    try:
        first.until_printed("app: ")
        second = start("--stages", "install")
        line = second.until_printed("waiting for")
        assert first.id in line and "custom-html" in line
        assert first.end() == 0
        assert second.end() == 0
    finally:
        first.kill()
        if second:
            second.kill()


def test_a_commit_that_is_nowhere_is_one_sentence_before_anything_is_deployed() -> None:
    """A sha that the repository does not have ends with a usage error that names both."""
    run = start(ref="0123456789" * 4).to_end()
    assert run.exit_code == 4
    assert "commit 0123456789012345678901234567890123456789 is not in" in run.out
    assert [case.outcome for case in run.report.cases].count("error") == 1
    nothing_left(run)


def test_a_failed_run_can_be_kept_and_is_cleaned_up_when_told() -> None:
    """`--keep` leaves the app up, says how to attach and how to clean up, and that works."""
    (variant,) = zoo.variants(["functional-fails"])
    with zoo.suites([variant]) as folder:
        run = start(
            "--stages", "functional", "--keep", recipe=variant.recipe, suites=folder
        ).to_end()
    assert run.exit_code == 1
    (domain,) = set(re.findall(r"cc-ci attach (\S+);", run.out))
    assert f"cc-ci janitor --now {domain}" in run.out
    attached = cli("attach", domain)
    assert "docker exec -it" in attached and domain in attached
    assert f"removed {domain}" in cli("janitor", "--now", domain)
    nothing_left(run)


def test_sigterm_tears_down_and_the_report_says_interrupted() -> None:
    """A run that is told to end removes its app and still writes its report."""
    run = start()
    try:
        run.until_printed("app: ")
        run.process.send_signal(signal.SIGTERM)
        run.end()
    finally:
        run.kill()
    found = run.report
    assert (run.exit_code, found.verdict.value) == (2, "interrupted")
    assert (run.dir / "report.json").is_file() and (run.dir / "junit.xml").is_file()
    nothing_left(run)


def test_the_death_of_the_parent_shell_tears_down() -> None:
    """Drone kills the step's shell alone; the run notices and cleans up by itself (incident C5)."""
    run = start(shell=True)
    try:
        run.until_printed("app: ")
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        run.gone()
    finally:
        run.kill()
    assert run.report.verdict.value == "cancelled"
    nothing_left(run)


def test_what_a_killed_run_left_is_reaped_by_the_next() -> None:
    """After SIGKILL the next run's janitor removes the app, and reports where the dead run ended."""
    run = start()
    try:
        run.until_printed("test_install[custom-html]")
    finally:
        run.kill()
    again = start("--stages", "install")
    try:
        assert again.end() == 0
    finally:
        again.kill()
    nothing_left(run)
    assert json.loads((run.dir / "report.json").read_text())["verdict"] == "interrupted"


@pytest.mark.zoo
@pytest.mark.parametrize("variant", zoo.variants(), ids=lambda variant: variant.name)
def test_a_broken_recipe_is_caught(variant: zoo.Variant) -> None:
    """Each broken recipe is caught at its own stage, for its own reason, and cleaned up (B2, B3)."""
    done, found = zoo.run(variant)
    assert zoo.problem(variant, done.exit_code, found) is None


def test_the_events_are_told_while_they_happen() -> None:
    """The event file grows while the run goes on; a reader need not wait for the end."""
    run = start("--stages", "install")
    try:
        run.until_printed("test_install[custom-html]")
        assert not (run.dir / "report.json").exists(), "the run is over already"
        names = [event.name for event in events.read(run.dir / "events.jsonl").events]
        assert "run-started" in names and "case" in names
        assert run.end() == 0
    finally:
        run.kill()
