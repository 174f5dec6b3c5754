"""The sticky comment: untrusted text in every part of it, and its length."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bridge.answers import messages, sticky_comment
from bridge.answers.sticky_comment import Links
from bridge.model import Progress, Result, Run
from contract.report_line import RunReport
from contract.verdicts import Verdict

LINKS = Links("http://drone.ours", "http://runs.ours")
RUN = Run(1, "org/shop", 3, "cold", "shop", "a" * 40, "alice", 7, 1.0, build=17, finished=2.0)
REPORT: dict[str, Any] = {
    "run": "17",
    "recipe": "shop",
    "ref": "a" * 40,
    "lane": "cold",
    "verdict": "recipe",
    "commit_state": "failure",
}


def finished(**values: Any) -> Run:
    """Return a run that failed, with these values in its report."""
    report = RunReport.model_validate({**REPORT, **values})
    result = Result(Verdict.RECIPE, "failure", report.reason, report)
    return replace(RUN, state="done", result=result)


def comment(**report: Any) -> str:
    """Return the comment about such a run."""
    return sticky_comment.render(finished(**report), [], LINKS)


# -- untrusted text

BAD = "<b>|@eve`\n&"
SHOWN = "`<b>|@eve´ &`"
IN_CELL = "`<b>\\|@eve´ &`"
IN_HTML = "&lt;b&gt;|@eve` &amp;"


@pytest.mark.parametrize(
    ("report", "shown"),
    [
        ({"reason": BAD}, f"\n{SHOWN}\n"),
        ({"stage": BAD, "reason": "no"}, "**unknown:** no"),
        ({"level": 0, "level_words": BAD}, f"**Level 0:** {SHOWN}"),
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
        ({"failed": [{"id": "x", "outcome": "fail", "message": BAD}]}, f"\n{SHOWN}\n"),
        ({"failed": [{"id": "x", "outcome": "fail", "lines": ["```"]}]}, "````text\n```\n````"),
        ({"notes": [BAD]}, f"- {SHOWN}"),
        ({"evidence": [f"a b)(\n{BAD}"]}, "/17/a%20b%29%28%0A%3Cb%3E%7C%40eve%60%0A%26)"),
        ({"evidence": [BAD]}, f"[{SHOWN}](http://runs.ours/17/"),
        ({"repeat": "a\n```\n@eve"}, "````sh\n"),
    ],
)
def test_untrusted_text_is_shown_as_code(report: dict[str, Any], shown: str) -> None:
    assert shown in comment(**report)


def test_names_are_shown_as_code() -> None:
    """A comment notifies nobody, and no recipe or organisation is markup."""
    progress = Progress(stages=("@eve",), version="@eve", base_version="@eve")
    hostile = replace(RUN, recipe="@eve", requester="@eve", state="running", note="@eve")
    text = sticky_comment.render(replace(hostile, progress=progress), [], LINKS)
    for shown in (
        "`@eve` at `aaaaaaaa`",
        "requested by `@eve`",
        "`@eve` → `@eve`",
        "\n\n`@eve`\n",
        "| `@eve` |",
    ):
        assert shown in text
    assert "`@eve`" in messages.non_member("@eve")
    assert text.count("@eve") == text.count("`@eve`")


# -- length


def test_comment_is_cut_to_what_a_forge_accepts() -> None:
    """The longest parts are dropped, never the head."""
    case = {"id": "x", "outcome": "fail", "lines": ["y" * 2000] * 50}
    text = comment(failed=[case] * 50, failed_in_all=50, reason="it failed")
    assert len(text) <= sticky_comment.MAX_COMMENT
    assert text.startswith("<!-- cc-ci cold -->") and "it failed" in text


def test_numbers_of_files_and_earlier_runs_are_limited() -> None:
    assert (
        comment(evidence=["x"] * 100).count("](http://runs.ours/")
        == sticky_comment.MAX_EVIDENCE + 1
    )
    text = sticky_comment.render(RUN, [replace(finished(), id=n) for n in range(50)], LINKS)
    assert text.count("\n- ") == sticky_comment.MAX_EARLIER
