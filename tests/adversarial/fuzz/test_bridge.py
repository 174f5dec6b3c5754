"""Parsers of the bridge: commands, webhook requests and logs; and untrusted text in comments."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import re
from typing import Any

from hypothesis import example
from hypothesis import strategies as st

from bridge.answers import sticky_comment
from bridge.builds import drone_log
from bridge.comments.grammar import parse_command, parse_trigger
from bridge.model import Command, Progress, Result, Run
from bridge.web.endpoints import REPO, WebhookEvent, is_signed, parse_event
from contract import markdown
from contract.marker import MARKER
from contract.report_line import STAGE_NAME, RunReport
from tests.adversarial.fuzz.inputs import PIECES, TEXTS, VALUES, fuzz

NEAR = st.lists(
    st.sampled_from(["!testme", "!TESTME", "! testme", "--quick", "-quick", "--quick=1", " ", "\t", "\n",
                     "\r\n", "\u00a0", "\u200b", "cancel", "help", "> ", "```", "    ", "x"]),
    max_size=6,
).map("".join)  # fmt: skip
EXACTLY = re.compile(r"[ \t\r\n]*!testme( --quick)?[ \t\r\n]*")
STAGES = ("lint", "install", "functional", "cleanup")


# -- comments


@fuzz(body=NEAR | TEXTS | VALUES)
@example(body="!testme")
@example(body=" !testme --quick\r\n")
@example(body="!testmexyz")
@example(body="!testme foo")
def test_only_the_two_exact_forms_are_triggers(body: object) -> None:
    match = EXACTLY.fullmatch(body) if isinstance(body, str) else None
    wanted = (match is not None, match is not None and match[1] is not None)
    assert parse_trigger(body) == wanted
    command = parse_command(body)
    assert command is None or isinstance(command, Command)
    assert (command in (Command.COLD, Command.QUICK)) is wanted[0]
    assert command is None or "!testme" in str(body)


# -- webhook requests


@fuzz(
    body=st.binary(max_size=300),
    secret=TEXTS.filter(lambda s: s.isascii()),
    given=TEXTS,
    right=st.booleans(),
)
def test_only_the_signature_of_the_body_is_accepted(
    body: bytes, secret: str, given: str, right: bool
) -> None:
    """Any other text is refused, and none raises an error."""
    wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    signature = wanted.upper() if right else given
    assert is_signed(body, signature, secret) is (signature.lower() == wanted)


ROWS = st.fixed_dictionaries(
    {},
    optional={
        "action": st.just("created") | VALUES,
        "is_pull": st.just(True) | VALUES,
        "number": st.integers() | VALUES,
        "repository": st.fixed_dictionaries({"full_name": st.just("org/shop") | PIECES | VALUES})
        | VALUES,
        "issue": st.fixed_dictionaries({"number": st.integers() | VALUES}) | VALUES,
        "comment": st.fixed_dictionaries({"id": st.integers() | VALUES}) | VALUES,
    },
)
BODIES = ROWS.map(lambda row: json.dumps(row).encode()) | st.binary(max_size=200)
EVENTS = (
    st.sampled_from(["issue_comment", "pull_request_comment", "pull_request", "push", ""]) | TEXTS
)


@fuzz(event=EVENTS, body=BODIES)
def test_webhook_request_is_parsed_or_refused(event: str, body: bytes) -> None:
    """Parsed numbers and names are valid parts of a URL."""
    try:
        found = parse_event(event, body)
    except ValueError:
        return
    assert found is None or isinstance(found, WebhookEvent)
    if found is not None:
        assert REPO.fullmatch(found.repo) and ".." not in found.repo.split("/")
        assert found.pr > 0 and (found.comment is None or found.comment > 0)


# -- logs


LINES = st.builds(
    lambda mark, row, end: f"{mark}{json.dumps(row)}{end}",
    st.sampled_from([MARKER, MARKER, f" {MARKER}", ""]),
    st.fixed_dictionaries(
        {"event": st.sampled_from(["run-started", "stage-started", "case", "run-report"]) | VALUES},
        optional={
            "stage": st.sampled_from(STAGES) | PIECES | VALUES,
            "stages": st.lists(st.sampled_from(STAGES)) | VALUES,
            "outcome": st.sampled_from(["pass", "fail"]) | VALUES,
            "run": TEXTS | VALUES,
            "version": PIECES | VALUES,
            "verdict": st.just("passed") | VALUES,
        },
    )
    | VALUES,
    st.sampled_from(["\n", "\n", "\r\n", "", " x\n"]),
)


@fuzz(
    log=st.lists(LINES | PIECES, max_size=8).map("".join),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_log_is_read_the_same_in_any_pieces(log: str, cuts: list[int]) -> None:
    """Stages have valid names, whatever the log contains."""
    whole, parts = drone_log.read(log), drone_log.LogReader()
    edges = [0, *sorted(min(cut, len(log)) for cut in cuts), len(log)]
    for begin, end in itertools.pairwise(edges):
        parts.feed(log[begin:end])
    parts.feed("" if log.endswith("\n") else "\n")
    assert parts.progress == whole.progress and parts.report == whole.report
    names = [whole.progress.now, *whole.progress.stages, *whole.progress.outcomes]
    assert all(name == "" or STAGE_NAME.fullmatch(name) for name in names)


# -- untrusted text in comments


def outside_code(text: str) -> str:
    """Return the text of a comment without its code, as Markdown defines it."""
    text = re.sub(r"(?ms)^(`{3,})[^`\n]*\n.*?^\1`*[ \t]*$", "", text)
    text = re.sub(r"<code>[^<]*</code>", "", text)
    return re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


@fuzz(text=PIECES)
def test_untrusted_text_is_plain_words_or_code(text: str) -> None:
    """It is one line, and nothing in it ends the code or splits a table."""
    for shown in (markdown.code_span(text), markdown.prose(text), markdown.table_cell(text)):
        assert "\n" not in shown and "\r" not in shown
        assert not re.search(r"[@<>\[\]#|!*_~\\]", outside_code(shown))
        assert shown.count("`") in (0, 2)
    assert not re.search(r"(?<!\\)\|", markdown.table_cell(text))


@fuzz(lines=st.lists(PIECES, max_size=6))
def test_no_line_closes_the_fence_around_it(lines: list[str]) -> None:
    first, *within, last = markdown.fence(lines, "text").split("\n")
    assert first.removesuffix("text") == last and len(within) == len(lines)
    assert all(not re.match(rf" {{0,3}}{last}", line) for line in within)


CASES = st.fixed_dictionaries(
    {"id": PIECES, "stage": PIECES, "life": PIECES, "outcome": st.just("fail"), "message": PIECES,
     "lines": st.lists(PIECES, max_size=4)}
)  # fmt: skip
REPORTS = st.fixed_dictionaries(
    {
        "run": st.just("17"),
        "recipe": PIECES,
        "ref": st.just("a" * 40),
        "lane": st.just("cold"),
        "verdict": st.just("recipe"),
        "commit_state": st.just("failure"),
        "reason": PIECES,
        "stage": st.sampled_from(STAGES) | PIECES,
        "level": st.integers(0, 5),
        "level_words": PIECES,
        "version": PIECES,
        "base_version": PIECES,
        "stages": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(STAGES), "outcome": st.just("fail"), "reason": PIECES}
            ),
            max_size=4,
        ),
        "failed": st.lists(CASES, max_size=3),
        "failed_in_all": st.integers(0, 9),
        "notes": st.lists(PIECES, max_size=3),
        "evidence": st.lists(PIECES, max_size=3),
        "repeat": PIECES,
    }
)
LONE_SURROGATE = {"run": "17", "recipe": "", "ref": "a" * 40, "lane": "cold", "verdict": "recipe",
          "commit_state": "failure", "evidence": ["\ud800"]}  # fmt: skip
OURS = re.compile(
    r"</?(?:details|summary)(?: open)?>|<!-- cc-ci cold -->|\]\(http://[a-z]+\.ours/[^)\s]*\)"
)


def rendered(report: dict[str, Any], user: str) -> str:
    """Return the comment about a finished run."""
    made = RunReport.model_validate(report)
    result = Result(made.verdict, "failure", made.reason, made)
    progress = Progress(version=made.version, base_version=made.base_version)
    run = Run(1, "org/shop", 3, "cold", "shop", "a" * 40, user, 7, 1.0, state="done", build=17,
              progress=progress, result=result, finished=2.0)  # fmt: skip
    return sticky_comment.render(
        run, [run], sticky_comment.Links("http://drone.ours", "http://runs.ours")
    )


@example(report=LONE_SURROGATE, user="alice")
@fuzz(report=REPORTS, user=st.sampled_from(["alice", "bob-1", "x.y_z"]))
def test_comment_mentions_nobody_and_contains_no_untrusted_markup(
    report: dict[str, Any], user: str
) -> None:
    """Wherever in a report untrusted text is."""
    plain = OURS.sub("", outside_code(rendered(report, user)))
    assert "@" not in plain and "<" not in plain and "](" not in plain
    assert "http" not in plain and "::cc-ci::" not in plain
