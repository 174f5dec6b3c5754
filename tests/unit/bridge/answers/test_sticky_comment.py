"""What others wrote stands in a comment as they wrote it, in one line, and can do nothing there."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.answers import messages, sticky_comment
from bridge.answers.sticky_comment import Links
from bridge.builds.verdict import Verdict
from bridge.store import Run
from contract.report_line import RunReport

LINKS = Links("http://drone.ours", "http://runs.ours")
RUN = Run(1, "org/shop", 3, "cold", "shop", "a" * 40, "alice", 7, 1.0, build=17, ended=2.0)
REPORT: dict[str, Any] = {
    "run": "17",
    "recipe": "shop",
    "ref": "a" * 40,
    "lane": "cold",
    "verdict": "recipe",
    "commit_state": "failure",
}


def finished(**told: Any) -> Run:
    """Return a run that failed, with what its report told."""
    report = RunReport.model_validate({**REPORT, **told})
    verdict = Verdict("recipe", "failure", report.reason, report.model_dump(mode="json"))
    return replace(RUN, state="done", verdict=verdict.to_json())


def told(**report: Any) -> str:
    """Return the comment about such a run."""
    return sticky_comment.render(finished(**report), [], LINKS)


# -- in every place of a comment

BAD = "<b>|@eve`\n&"
SEEN = "`<b>|@eve´ &`"
IN_CELL = "`<b>\\|@eve´ &`"
IN_HTML = "&lt;b&gt;|@eve` &amp;"


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"reason": BAD}, f"\n{SEEN}\n"),
        ({"stage": BAD, "reason": "no"}, "**unknown:** no"),
        ({"level": 0, "level_words": BAD}, f"**Level 0:** {SEEN}"),
        ({"stages": [{"name": "lint", "outcome": "fail", "reason": BAD}]}, f"| 0.0 | {IN_CELL} |"),
        ({"stages": [{"name": "lint", "outcome": "unverified", "reason": f"{BAD}: x"}]}, IN_CELL),
        (
            {"stages": [{"name": "lint", "outcome": "fail", "reason": "x" * 900}]},
            f"| {'x' * 160} |",
        ),
        (
            {"failed": [{"id": BAD, "outcome": "fail"}]},
            f"<summary><code>{IN_HTML}</code></summary>",
        ),
        ({"failed": [{"id": "x" * 900, "outcome": "fail"}]}, f"<code>{'x' * 200}</code>"),
        ({"failed": [{"id": "x", "life": BAD, "outcome": "fail"}]}, f"x ({IN_HTML})</code>"),
        ({"failed": [{"id": "x", "outcome": "fail", "message": BAD}]}, f"\n{SEEN}\n"),
        ({"failed": [{"id": "x", "outcome": "fail", "lines": ["```"]}]}, "````text\n```\n````"),
        ({"notes": [BAD]}, f"- {SEEN}"),
        ({"evidence": [f"a b)(\n{BAD}"]}, "/17/a%20b%29%28%0A%3Cb%3E%7C%40eve%60%0A%26)"),
        ({"evidence": [BAD]}, f"[{SEEN}](http://runs.ours/17/"),
        ({"repeat": "a\n```\n@eve"}, "````sh\n"),
    ],
)
def test_foreign_text_is_shown_and_does_nothing(report: dict[str, Any], shown: str) -> None:
    """Wherever it comes to stand."""
    assert shown in told(**report)


def test_names_of_others_are_code() -> None:
    """Nobody is called by a comment, and no recipe or organisation is markup."""
    hostile = replace(RUN, recipe="@eve", person="@eve", state="running", note="@eve")
    progress = {"stages": ["@eve"], "version": "@eve", "base_version": "@eve"}
    text = sticky_comment.render(replace(hostile, progress=json.dumps(progress)), [], LINKS)
    for shown in (
        "`@eve` at `aaaaaaaa`",
        "asked by `@eve`",
        "`@eve` → `@eve`",
        "\n\n`@eve`\n",
        "| `@eve` |",
    ):
        assert shown in text
    assert "`@eve`" in messages.stranger("@eve")
    assert text.count("@eve") == text.count("`@eve`")


# -- how long it may be


def test_a_comment_is_never_longer_than_a_forge_takes() -> None:
    """What is too much is left out, the head never."""
    case = {"id": "x", "outcome": "fail", "lines": ["y" * 2000] * 50}
    text = told(failed=[case] * 50, failed_in_all=50, reason="it failed")
    assert len(text) <= sticky_comment.LONGEST
    assert text.startswith("<!-- cc-ci cold -->") and "it failed" in text


def test_only_some_of_what_was_kept_and_was_before_is_shown() -> None:
    """The rest is in the run's directory, and in the history."""
    assert (
        told(evidence=["x"] * 100).count("](http://runs.ours/") == sticky_comment.EVIDENCE_SHOWN + 1
    )
    text = sticky_comment.render(RUN, [replace(finished(), id=n) for n in range(50)], LINKS)
    assert text.count("\n- ") == sticky_comment.EARLIER_SHOWN
