"""Comments on pull requests at a real Gitea: what the bridge starts and what it replies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.forge.bridge_env import MEMBER, NON_MEMBER, BridgeEnv

pytestmark = pytest.mark.forge
Make = Callable[..., BridgeEnv]


@pytest.mark.parametrize("discovery", ["hook", "poll", "both"])
def test_good_pull_request_passes(make_env: Make, discovery: str) -> None:
    """Reaction, pending status, every stage, level 5; one comment and one build, not two (L5)."""
    env = make_env(discovery)
    env.open()
    number, sha = env.pull()
    env.hold(sha)
    comment = env.comment(number, "!testme")
    env.until(lambda: env.status(sha)[0] == "pending", "a pending status")
    env.until(lambda: "eyes" in env.forge.reactions(env.repo, comment), "a reaction")
    env.sticky_comment(number, "running: install")
    env.release(sha)
    assert env.final_state(sha) == "success"
    assert env.status(sha)[1] == "passed, level 5"
    body = env.sticky_comment(number, "passed, level 5")
    for stage in ("install", "upgrade", "backup", "restore", "functional", "lint"):
        assert f"| ✅ | {stage} |" in body
    assert "http://runs.example/" in body and "/junit.xml" in body
    assert f"pytest recipes_tests --recipe {env.recipe} --ref {sha}" in body
    env.wait_until_idle()
    assert len(env.bot_comments(number)) == 1
    assert [b["params"] for b in env.builds()] == [
        {"RECIPE": env.recipe, "REF": sha, "PR": str(number), "SRC": env.repo}
    ]


def test_broken_pull_request_fails_with_stage_and_reason(env: BridgeEnv) -> None:
    """They are in the commit status and in the comment; untrusted text in it has no effect."""
    number, sha = env.pull()
    env.write_script(sha, fail="backup")
    env.comment(number, "!testme")
    assert env.final_state(sha) == "failure"
    assert env.status(sha)[1] == "the recipe failed in backup"
    body = env.sticky_comment(number, "the recipe failed in backup")
    html = env.rendered(body)
    assert re.search(r"<strong>backup:</strong> <code[^>]*>@alice", html)
    assert "test_backup" in html and "app.log line 1" in html
    assert 'class="mention"' not in html and "http://evil" not in re.findall('href="([^"]*)"', html)


def test_quick_run_has_its_own_context_and_no_level(env: BridgeEnv) -> None:
    """The context of cold runs is not touched."""
    number, sha = env.pull()
    env.comment(number, "!testme --quick")
    assert env.final_state(sha, "quick") == "success"
    assert env.status(sha) == ("", "")
    assert "lower confidence" in env.sticky_comment(number, "passed")
    assert [b["params"].get("CCCI_QUICK") for b in env.builds()] == ["1"]


def test_non_member_starts_nothing_and_gets_one_reply(env: BridgeEnv) -> None:
    number, sha = env.pull(user=NON_MEMBER)
    env.comment(number, "!testme", user=NON_MEMBER)
    env.until(lambda: env.bot_comments(number), "an answer")
    again = env.comment(number, "!testme", user=NON_MEMBER)
    env.until(lambda: "confused" in env.forge.reactions(env.repo, again), "a reaction")
    env.wait_until_idle()
    (answer,) = env.bot_comments(number)
    assert "Only members" in answer
    assert (env.builds(), env.status(sha)) == ([], ("", ""))


def test_pull_request_from_a_fork_is_tested(env: BridgeEnv) -> None:
    """A member may test a non-member's fork; its head is fetched from the recipe's repository."""
    number, sha = env.pull(user=NON_MEMBER)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "success"
    assert env.builds()[0]["params"]["SRC"] == env.repo


def test_deleted_fork_cancels_its_run(env: BridgeEnv) -> None:
    """Deleting the fork closes the pull request."""
    number, sha = env.pull(user=NON_MEMBER)
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    env.forge.call("DELETE", f"/repos/{NON_MEMBER}/{env.recipe}", user=NON_MEMBER)
    assert env.final_state(sha) == "error"
    assert "the pull request was closed" in env.sticky_comment(number, "cancelled")


def test_push_cancels_the_run_and_starts_none(env: BridgeEnv) -> None:
    """The commit is pinned when the command is accepted."""
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    newer = env.push(number, text="newer")
    assert env.final_state(sha) == "error"
    body = env.sticky_comment(number, "cancelled")
    assert sha[:8] in body and newer[:8] in body
    env.wait_until_idle()
    assert [b["params"]["REF"] for b in env.builds()] == [sha]
    assert env.status(newer) == ("", "")


def test_push_right_after_the_comment_is_not_tested(make_env: Make) -> None:
    """The webhook reports the head that the author saw."""
    env = make_env("hook")
    env.open()
    number, sha = env.pull()
    pushed: list[str] = []

    def push(method: str, path: str, body: bytes) -> None:
        if path.endswith(f"/pulls/{number}") and not pushed:
            pushed.append(env.push(number, text="newer"))
            env.until(lambda: _head_of(env, number) == pushed[0], "the pull request moves")

    env.gitea_proxy.before = push
    env.hold(sha)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "error"
    assert pushed[0][:8] in env.sticky_comment(number, "cancelled")
    assert [b["params"]["REF"] for b in env.builds()] in ([], [sha])
    assert env.status(pushed[0]) == ("", "")


def _head_of(env: BridgeEnv, number: int) -> str:
    return str(env.forge.call("GET", f"/repos/{env.repo}/pulls/{number}")["head"]["sha"])


def test_second_command_for_the_same_commit_joins_the_run(env: BridgeEnv) -> None:
    """It gets its reaction; there is one build and one comment."""
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running")
    second = env.comment(number, "!testme")
    env.until(lambda: "eyes" in env.forge.reactions(env.repo, second), "a reaction")
    env.release(sha)
    assert env.final_state(sha) == "success"
    env.wait_until_idle()
    assert (len(env.builds()), len(env.bot_comments(number))) == (1, 1)


def test_second_run_edits_the_comment_and_lists_the_first(env: BridgeEnv) -> None:
    """The commit status is pending again before it has a new verdict (L6)."""
    number, sha = env.pull()
    env.write_script(sha, fail="restore")
    env.comment(number, "!testme")
    assert env.final_state(sha) == "failure"
    env.wait_until_idle()
    env.write_script(sha)
    env.hold(sha)
    env.comment(number, "!testme")
    env.until(lambda: env.status(sha)[0] == "pending", "pending again")
    env.release(sha)
    body = env.sticky_comment(number, "passed, level 5")
    assert "Earlier verdicts" in body and "the recipe failed in restore" in body
    env.wait_until_idle()
    assert env.status(sha)[0] == "success"
    assert len(env.bot_comments(number)) == 1


def test_cancel_stops_the_run(env: BridgeEnv) -> None:
    """The build is `killed` in Drone."""
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    env.comment(number, "!testme cancel")
    assert env.final_state(sha) == "error"
    assert "cancelled by alice" in env.sticky_comment(number, "cancelled")
    assert [b["status"] for b in env.builds()] == ["killed"]


def test_cancel_without_a_run_gets_a_reply(env: BridgeEnv) -> None:
    number, _ = env.pull()
    env.comment(number, "!testme cancel")
    env.until(lambda: "nothing to cancel" in "".join(env.bot_comments(number)), "an answer")
    assert env.builds() == []


def test_unknown_command_gets_help_once_an_hour(env: BridgeEnv) -> None:
    number, _ = env.pull()
    env.comment(number, "!testme please")
    env.until(lambda: env.bot_comments(number), "an answer")
    last = env.comment(number, "!testme now")
    env.until(lambda: "confused" in env.forge.reactions(env.repo, last), "a reaction")
    env.wait_until_idle()
    (answer,) = env.bot_comments(number)
    assert "!testme --quick" in answer
    assert env.builds() == []


def test_other_comments_are_ignored(env: BridgeEnv) -> None:
    """Quotes, code, similar words, edited comments and plain issues start nothing and get no reply."""
    number, sha = env.pull()
    for body in (
        "> !testme",
        "```\n!testme now\n```",
        "!testmexyz",
        "please !testme",
        "    !testme x",
    ):
        env.comment(number, body)
    edited = env.comment(number, "hello")
    path = f"/repos/{env.repo}/issues/comments/{edited}"
    env.until(lambda: _edit_later(env, path), "the edit gets a later time")
    issue = env.forge.call("POST", f"/repos/{env.repo}/issues", {"title": "x"})["number"]
    env.comment(issue, "!testme")
    other, other_sha = env.pull()
    env.comment(other, "!testme")  # the last comment is processed last
    assert env.final_state(other_sha) == "success"
    env.wait_until_idle()
    assert env.bot_comments(number) == [] and env.bot_comments(issue) == []
    assert [b["params"]["REF"] for b in env.builds()] == [other_sha]
    assert env.status(sha) == ("", "")


def _edit_later(env: BridgeEnv, path: str) -> bool:
    """Edit a comment until its time of change is later than its creation; both have whole seconds."""
    row = env.forge.call("PATCH", path, {"body": f"hello {time.monotonic()}"})
    if row["updated_at"] <= row["created_at"]:
        return False
    env.forge.call("PATCH", path, {"body": "!testme"})
    return True


def test_closed_pull_request_is_not_tested(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.close_pull(number)
    env.comment(number, "!testme")
    other, other_sha = env.pull()
    env.comment(other, "!testme")
    assert env.final_state(other_sha) == "success"
    assert env.status(sha) == ("", "")


def test_closing_the_pull_request_cancels_the_run(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    env.close_pull(number)
    assert env.final_state(sha) == "error"
    assert "the pull request was closed" in env.sticky_comment(number, "cancelled")


def test_command_after_a_push_cancels_the_older_run(env: BridgeEnv) -> None:
    """The new head is tested, and both verdicts are listed."""
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    newer = env.push(number, text="newer")
    env.comment(number, "!testme")
    assert env.final_state(newer) == "success"
    assert env.final_state(sha) == "error"
    assert "Earlier verdicts" in env.sticky_comment(number, "passed, level 5")


def test_recipe_that_is_not_enrolled_gets_a_reply(env: BridgeEnv) -> None:
    """Repositories that are not enrolled are not polled, so this needs the webhook."""
    env.forge.create_repository(env.org, "other")
    repo = f"{env.org}/other"
    env.forge.commit(repo, "main", "compose.yml", "services: {}\n")
    env.forge.commit(repo, "change", "note.txt", "x")
    number = env.forge.open_pull_request(repo, "change", "x", user=MEMBER)
    env.forge.comment(repo, number, "!testme", user=MEMBER)
    env.until(lambda: len(env.forge.comments(repo, number)) == 2, "an answer")
    assert "not enrolled" in env.forge.comments(repo, number)[1]["body"]


def test_comments_before_the_enrolment_are_ignored(make_env: Make) -> None:
    """Incident I5: a restarted bridge acted on old comments."""
    env = make_env("poll")
    number, sha = env.pull()
    old = env.comment(number, "!testme")
    env.until(lambda: _is_older_now(env, number, old), "the next second")
    env.open()
    other, other_sha = env.pull()
    env.comment(other, "!testme")
    assert env.final_state(other_sha) == "success"
    assert env.status(sha) == ("", "")


def _is_older_now(env: BridgeEnv, number: int, comment: int) -> bool:
    """Return True if a new comment has a later second than an old one."""
    rows = {row["id"]: row["created_at"] for row in env.forge.comments(env.repo, number)}
    newer = env.comment(number, "tick")
    row = env.forge.call("GET", f"/repos/{env.repo}/issues/comments/{newer}")
    return bool(row["created_at"] > rows[comment])
