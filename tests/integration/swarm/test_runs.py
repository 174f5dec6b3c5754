"""Whole runs on the real Swarm, started as anybody starts them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import settings
from harness.reporting import events, report, run_dir
from harness.settings import CHECKOUT
from harness.swarm import engine
from sandbox.trials import zoo

pytestmark = pytest.mark.swarm
FOUND = settings.load(os.environ)
TIMEOUT = 400.0  # seconds


class Started:
    """A pytest process that runs one recipe, and its run directory."""

    def __init__(
        self,
        *options: str,
        recipe: str = "custom-html",
        ref: str = "",
        through: str = "",
        suites: Path = CHECKOUT / "recipes_tests",
    ) -> None:
        self.id = f"test-{uuid.uuid4().hex[:8]}"
        self.dir = FOUND.runs_dir / self.id
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
        words += [
            "--rootdir",
            str(CHECKOUT),
            "-p",
            "harness.plugin",
            str(suites),
            "--recipe",
            recipe,
        ]
        words += ["--ref", ref or zoo.head_of(FOUND, recipe), *options]
        if through:
            words = ["sh", "-c", f"{' '.join(words)}; :"]
        self.process = subprocess.Popen(
            words,
            cwd=CHECKOUT,
            env={**os.environ, "DRONE_BUILD_NUMBER": self.id, "CCCI_SUITES_DIR": str(suites)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines of its output as they come."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            yield line

    def until(self, text: str) -> str:
        """Read its output up to a line that holds the text; return that line."""
        for line in self.lines():
            if text in line:
                return line
        raise AssertionError(f"the run ended without saying '{text}'")

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its status and the rest of its output."""
        out, _ = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, out

    def report(self) -> report.Report:
        """Return the report of its run."""
        return run_dir.read(self.dir)

    def kill(self) -> None:
        """End it whatever it does, and wait for its death."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def nothing_left(run: Started) -> None:
    """Require that nothing with a name of the run's apps exists."""
    from harness.naming import app_domain, stack_name, unique
    from harness.swarm import remove

    found = run.report()
    for life in ("fresh", "upgrade", "warm"):
        token = unique(life, found.recipe, found.run, found.pr, found.ref)
        stack = stack_name(app_domain(token, found.recipe, FOUND.apps_domain))
        assert remove.leftovers(engine.client(), stack) == ()


@pytest.fixture(scope="module")
def green() -> Iterator[Started]:
    """One green cold run of custom-html, whose results several tests look at."""
    run = Started()
    try:
        run.status, run.out = run.end()  # type: ignore[attr-defined]
        yield run
    finally:
        run.kill()


def test_a_good_recipe_reaches_level_five(green: Started) -> None:
    """Every stage of custom-html passes behind the real proxy's entry points, and pytest ends with 0 (N3)."""
    found = green.report()
    assert (green.status, found.verdict.value, found.level) == (0, "passed", 5)  # type: ignore[attr-defined]
    assert {stage.outcome for stage in found.stages} == {"pass"}


def test_the_reports_say_the_same(green: Started) -> None:
    """report.json, junit.xml and summary.md are made of the same events."""
    body = json.loads((green.dir / "report.json").read_text())
    (suite,) = ElementTree.parse(green.dir / "junit.xml").getroot()
    cases = suite.findall("testcase")
    stages = {p.get("value") for c in cases for p in c.iter("property") if p.get("name") == "stage"}
    assert body["verdict"] == "passed" and body["level"] == 5
    assert len(cases) == len(body["cases"]) == int(suite.get("tests", "0"))
    assert stages == {stage["name"] for stage in body["stages"]}
    assert "Level 5" in (green.dir / "summary.md").read_text()


def test_every_phase_has_its_time(green: Started) -> None:
    """The times of the phases are there, and leave little of the whole unexplained."""
    found = green.report()
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


def test_a_green_run_leaves_nothing_behind(green: Started) -> None:
    """No object in Docker, no entry, no checkout of the run is left."""
    nothing_left(green)
    assert not (green.dir / "abra").exists()
    entries = [path.read_text() for path in FOUND.active_dir.glob("[!.]*")]
    assert not any(green.id in text for text in entries)


def test_the_terminal_tells_stages_level_and_how_to_repeat(green: Started) -> None:
    """A person at a terminal sees what happened while it happens, and the summary."""
    out = green.out  # type: ignore[attr-defined]
    for text in (
        "app: starting",
        "✓ test_install[custom-html]",
        "level 5",
        "again: pytest",
        "phases",
    ):
        assert text in out


def test_the_stand_in_for_abra_is_named_in_the_report(green: Started) -> None:
    """Nobody takes a run with the stand-in for one with the real abra."""
    found = green.report()
    if "standin" not in found.abra:
        pytest.skip("a real abra is used here")
    assert any("stand-in" in note for note in found.notes)


def test_the_quick_lane_upgrades_and_has_no_level() -> None:
    """A quick run upgrades the published version, tests what the app is for, and claims no level."""
    run = Started("-m", "quick")
    try:
        status, out = run.end()
    finally:
        run.kill()
    found = run.report()
    assert (status, found.verdict.value, found.level, found.lane) == (0, "passed", None, "quick"), (
        out
    )
    assert [s.name for s in found.stages] == ["lint", "functional", "upgrade", "cleanup"]
    assert "lower confidence" in out
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
    run = Started("--stages", "functional", recipe="miniflux")
    try:
        run.until("test_install[miniflux]")
        values = secrets_of("miniflux_ci_test_app")
        status, out = run.end()
    finally:
        run.kill()
    assert status == 0, out
    assert len(values) == 2
    texts = {
        path.name: path.read_text(errors="replace") for path in run.dir.rglob("*") if path.is_file()
    }
    for value in values:
        assert value not in out
        assert not [name for name, text in texts.items() if value in text]


def test_the_second_run_of_a_recipe_waits_and_says_for_whom() -> None:
    """Two runs of one recipe never overlap; the second names the first (incident C3)."""
    first, second = Started("--stages", "install"), None
    try:
        first.until("app: ")
        second = Started("--stages", "install")
        line = second.until("waiting for")
        assert first.id in line and "custom-html" in line
        assert first.end()[0] == 0
        assert second.end()[0] == 0
    finally:
        first.kill()
        if second:
            second.kill()


def test_a_commit_that_is_nowhere_is_one_sentence_before_anything_is_deployed() -> None:
    """A sha that the repository does not have ends with a usage error that names both."""
    run = Started(ref="0123456789" * 4)
    try:
        status, out = run.end()
    finally:
        run.kill()
    assert status == 4
    assert "commit 0123456789012345678901234567890123456789 is not in" in out
    assert [case.outcome for case in run.report().cases].count("error") == 1
    nothing_left(run)


def test_a_failed_run_can_be_kept_and_is_cleaned_up_when_told() -> None:
    """`--keep` leaves the app up, says how to attach and how to clean up, and that works."""
    (variant,) = zoo.variants(["functional-fails"])
    with zoo.suites([variant]) as folder:
        run = Started("--stages", "functional", "--keep", recipe=variant.recipe, suites=folder)
        try:
            status, out = run.end()
        finally:
            run.kill()
    assert status == 1
    (domain,) = set(re.findall(r"cc-ci attach (\S+);", out))
    assert f"cc-ci janitor --now {domain}" in out
    cli = [sys.executable, "-c", "from harness.cli import main; main()"]
    attach = subprocess.run([*cli, "attach", domain], capture_output=True, text=True, check=True)
    assert "docker exec -it" in attach.stdout and domain in attach.stdout
    done = subprocess.run(
        [*cli, "janitor", "--now", domain], capture_output=True, text=True, check=True
    )
    assert f"reaped {domain}" in done.stdout
    nothing_left(run)


def test_sigterm_tears_down_and_the_report_says_interrupted() -> None:
    """A run that is told to end removes its app and still writes its report."""
    run = Started()
    try:
        run.until("app: ")
        run.process.send_signal(signal.SIGTERM)
        status, _ = run.end()
    finally:
        run.kill()
    found = run.report()
    assert (status, found.verdict.value) == (2, "interrupted")
    assert (run.dir / "report.json").is_file() and (run.dir / "junit.xml").is_file()
    nothing_left(run)


def test_the_death_of_the_parent_shell_tears_down() -> None:
    """Drone kills the step's shell alone; the run notices and cleans up by itself (incident C5)."""
    run = Started(through="sh")
    try:
        run.until("app: ")
        os.kill(run.process.pid, signal.SIGKILL)
        run.process.wait()
        for _ in run.lines():
            pass
    finally:
        run.kill()
    assert run.report().verdict.value == "cancelled"
    nothing_left(run)


def test_what_a_killed_run_left_is_reaped_by_the_next() -> None:
    """After SIGKILL the next run's janitor removes the app, and reports where the dead run ended."""
    run = Started()
    try:
        run.until("test_install[custom-html]")
    finally:
        run.kill()
    again = Started("--stages", "install")
    try:
        assert again.end()[0] == 0
    finally:
        again.kill()
    nothing_left(run)
    assert json.loads((run.dir / "report.json").read_text())["verdict"] == "interrupted"


@pytest.mark.zoo
@pytest.mark.parametrize("variant", zoo.variants(), ids=lambda variant: variant.name)
def test_a_broken_recipe_is_caught(variant: zoo.Variant) -> None:
    """Each broken recipe is caught at its own stage, for its own reason, and cleaned up (B2, B3)."""
    status, found = zoo.run(FOUND, variant)
    assert zoo.problem(variant, status, found) is None


def test_the_events_are_told_while_they_happen() -> None:
    """The event file grows while the run goes on; a reader need not wait for the end."""
    run = Started("--stages", "install")
    try:
        run.until("test_install[custom-html]")
        assert not (run.dir / "report.json").exists(), "the run is over already"
        names = [event.name for event in events.read(run.dir / "events.jsonl")]
        assert "run-started" in names and "case" in names
        assert run.end()[0] == 0
    finally:
        run.kill()
