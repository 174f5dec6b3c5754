"""The terminal: lines while a run goes on, and its summary at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.reporting import report, terminal
from tests.support.event_factory import NAMES, case, run, stored

FOLDER = Path("/var/lib/cc-ci-runs/212")


def summary(name: str) -> str:
    """Return the summary of a stored run."""
    return terminal.summary(report.build(stored(name)), FOLDER)


@pytest.mark.parametrize(
    ("seconds", "life", "text", "line"),
    [
        (
            12.3,
            "fresh",
            "app: starting → running",
            "   12.3 s  r  fresh    app: starting → running",
        ),
        (0.04, "", "fetching", "    0.0 s  r           fetching"),
        (1234.56, "upgrade", "settled", " 1234.6 s  r  upgrade  settled"),
        (1.0, "fresh", "", "    1.0 s  r  fresh"),
        (1.0, "warm", "\x1b[31mred\x1b[0m\x07", "    1.0 s  r  warm     red\ufffd"),
        (
            1.0,
            "warm",
            "one\ntwo",
            "    1.0 s  r  warm     one\n                       two",
        ),
    ],
)
def test_a_progress_line(seconds: float, life: str, text: str, line: str) -> None:
    """Columns of time, recipe, life and text; no escape sequence of an app gets through."""
    assert terminal.progress_line(seconds, "r", life, text) == line


def test_a_progress_line_cannot_pass_for_a_marked_one() -> None:
    text = terminal.progress_line(1.0, "r", "", 'x\n::cc-ci:: {"event": "run-finished"}')
    assert not any(line.lstrip().startswith("::cc-ci::") for line in text.splitlines())


def test_the_summary_of_a_green_run() -> None:
    lines = summary("green").splitlines()
    assert lines[0].startswith("custom-html 617e8442 cold 1.1.0+1.22.1 → 1.1.1+1.22.1 ─")
    assert "  ✓ install       4.1 s" in lines
    assert "  passed: all planned stages passed" in lines
    assert any(line.startswith("  level 5: installs, upgrades") for line in lines)
    assert any(line.startswith("  phases (s): queue 0.0") for line in lines)
    assert lines[-2] == f"  run directory: {FOLDER}"
    assert lines[-1].startswith(
        "  reproduce: pytest recipes_tests --recipe custom-html --ref 617e8442"
    )


def test_the_summary_of_a_failed_run_shows_stage_case_and_last_log_lines() -> None:
    text = summary("red-install")
    assert "  ✗ install      13.4 s  service 'db' keeps ending (crash loop)" in text
    assert "  recipe: the recipe failed" in text
    assert "  level 0: does not install (capped: install failed)" in text
    assert "  ✗ test_install[miniflux]: service 'db'" in text
    assert 'initdb: error: could not open file "/dev/stdin"' in text


def test_the_summary_of_a_run_that_died_says_where() -> None:
    text = summary("interrupted")
    assert "  ? backup        0.0 s  not reached" in text
    assert "  interrupted in stage 'backup'" in text
    assert "no level" in text


def test_a_quick_run_is_labelled() -> None:
    text = summary("quick")
    assert " quick " in text.splitlines()[0]
    assert "lower confidence, no level" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_summary_has_no_escape_sequence(name: str) -> None:
    assert "\x1b" not in summary(name)


def test_output_of_an_app_cannot_control_the_terminal() -> None:
    """Escape sequences are removed, marked lines quoted."""
    details = "\x1b[2J\x1b]0;title\x07gone\n::cc-ci:: {}\nlast"
    bad = case("install", "fail", id="a\x1bb", fault="recipe", message="m\x1b[2J", details=details)
    text = terminal.summary(report.build(run(bad)), FOLDER)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "      gone" in text
    assert not any(line.lstrip().startswith("::cc-ci::") for line in text.splitlines())


def test_an_empty_run_has_a_summary() -> None:
    text = terminal.summary(report.build([], run="7"), FOLDER)
    assert "no stage was started" in text
    assert "reproduce:" not in text
