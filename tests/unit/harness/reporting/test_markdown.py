"""summary.md: all parts of a report, and no text of an app that breaks out of its place."""

from __future__ import annotations

import re

import pytest

from harness.reporting import markdown, report
from harness.reporting.events import Event
from harness.reporting.report import Report
from tests.support.event_factory import case, finished, phase, run, started, stored


def made(name: str) -> Report:
    """Return the report of a stored run."""
    return report.build(stored(name))


def test_the_first_line_has_the_verdict() -> None:
    text = markdown.to_markdown(made("green"))
    first = "# custom-html 617e8442: passed: all planned stages passed"
    assert text.splitlines()[0] == first


def test_the_summary_has_all_parts() -> None:
    """Stages with marks, the failure with its log, phases, evidence, the command."""
    text = markdown.to_markdown(made("red-install"))
    assert "| ✓ | lint | 0.1 |" in text
    assert "| ✗ | install | 13.4 | service 'db' keeps ending" in text
    assert "| ? | backup | 0.0 |" in text
    assert 'initdb: error: could not open file "/dev/stdin"' in text
    assert "Phases: queue 0.0" in text
    assert "`logs/fresh-db.log`" in text
    assert (
        text.rstrip()
        .splitlines()[-2]
        .startswith("pytest recipes_tests --recipe miniflux --ref 17be")
    )


@pytest.mark.parametrize("ticks", ["```", "````", "`" * 30, "x ``` y"])
def test_a_log_cannot_close_its_fence(ticks: str) -> None:
    bad = case("install", "fail", fault="recipe", message="x", details=f"{ticks}\n@admin\n# big")
    lines = markdown.to_markdown(report.build(run(bad))).splitlines()
    start = lines.index(ticks) - 1
    fence = lines[start]
    assert set(fence) == {"`"}
    assert len(fence) > max(len(found) for found in re.findall("`+", ticks))
    assert lines[start + 4] == fence


def test_a_path_cannot_end_its_code_span() -> None:
    text = markdown.to_markdown(
        report.build([Event(1.0, "evidence", {"kind": "log", "path": "a`\n@b"})])
    )
    assert "- Evidence: log `a´ @b`\n" in text


def test_only_the_last_lines_of_a_log_are_shown() -> None:
    """A log of 100 MB does not make a page of 100 MB."""
    details = "\n".join(f"line {number} {'x' * 5000}" for number in range(1000))
    bad = case("install", "fail", fault="recipe", message="x", details=details)
    text = markdown.to_markdown(report.build(run(bad)))
    assert "line 999 " in text
    assert "line 974 " not in text
    assert len(text) < 15_000


def test_untrusted_text_is_escaped_everywhere() -> None:
    """In messages, reasons, ids, notes, evidence and names."""
    bad = "@admin <img src=x>"
    found = report.build(
        [
            started(recipe=bad, ref=bad, src=bad, version=bad, notes=[bad]),
            case("install", "fail", id=bad, message=bad, details=bad, life=bad, fault="recipe"),
            case(bad, "unverified", message=bad),
            Event(1.0, "note", {"text": bad}),
            Event(1.0, "evidence", {"kind": bad, "path": bad}),
            phase(1.0, bad, 1.0, bad),
            finished(how="interrupted", reason=bad),
        ]
    )
    outside = re.sub(r"(?ms)^(`{3,})$.*?^\1$", "", markdown.to_markdown(found))
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert "admin" in outside
    assert "@admin" not in outside
    assert "<img" not in outside.replace("\\<img", "")
