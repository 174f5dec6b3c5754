"""Comments on pull requests at a real Gitea: what the bridge starts and what it replies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.forge.conversation import MEMBER, NON_MEMBER, World

pytestmark = pytest.mark.forge
Make = Callable[..., World]


@pytest.mark.parametrize("path", ["hook", "poll", "both"])
def test_good_pull_request_passes(make_world: Make, path: str) -> None:
    """Reaction, pending status, every stage, level 5; one comment and one build, not two (L5)."""
    world = make_world(path)
    world.open()
    number, sha = world.pull()
    world.hold(sha)
    comment = world.comment(number, "!testme")
    world.until(lambda: world.status(sha)[0] == "pending", "a pending status")
    world.until(lambda: "eyes" in world.forge.reactions(world.repo, comment), "a reaction")
    world.sticky_comment(number, "running: install")
    world.release(sha)
    assert world.final_state(sha) == "success"
    assert world.status(sha)[1] == "passed, level 5"
    body = world.sticky_comment(number, "passed, level 5")
    for stage in ("install", "upgrade", "backup", "restore", "functional", "lint"):
        assert f"| ✅ | {stage} |" in body
    assert "http://runs.example/" in body and "/junit.xml" in body
    assert f"pytest recipes_tests --recipe {world.recipe} --ref {sha}" in body
    world.wait_until_idle()
    assert len(world.bot_comments(number)) == 1
    assert [b["params"] for b in world.builds()] == [
        {"RECIPE": world.recipe, "REF": sha, "PR": str(number), "SRC": world.repo}
    ]


def test_broken_pull_request_fails_with_stage_and_reason(world: World) -> None:
    """They are in the commit status and in the comment; untrusted text in it has no effect."""
    number, sha = world.pull()
    world.plan(sha, fail="backup")
    world.comment(number, "!testme")
    assert world.final_state(sha) == "failure"
    assert world.status(sha)[1] == "the recipe failed in backup"
    body = world.sticky_comment(number, "the recipe failed in backup")
    html = world.rendered(body)
    assert re.search(r"<strong>backup:</strong> <code[^>]*>@alice", html)
    assert "test_backup" in html and "app.log line 1" in html
    assert 'class="mention"' not in html and "http://evil" not in re.findall('href="([^"]*)"', html)


def test_quick_run_has_its_own_context_and_no_level(world: World) -> None:
    """The context of cold runs is not touched."""
    number, sha = world.pull()
    world.comment(number, "!testme --quick")
    assert world.final_state(sha, "quick") == "success"
    assert world.status(sha) == ("", "")
    assert "lower confidence" in world.sticky_comment(number, "passed")
    assert [b["params"].get("CCCI_QUICK") for b in world.builds()] == ["1"]


def test_non_member_starts_nothing_and_gets_one_reply(world: World) -> None:
    number, sha = world.pull(user=NON_MEMBER)
    world.comment(number, "!testme", user=NON_MEMBER)
    world.until(lambda: world.bot_comments(number), "an answer")
    again = world.comment(number, "!testme", user=NON_MEMBER)
    world.until(lambda: "confused" in world.forge.reactions(world.repo, again), "a reaction")
    world.wait_until_idle()
    (answer,) = world.bot_comments(number)
    assert "Only members" in answer
    assert (world.builds(), world.status(sha)) == ([], ("", ""))


def test_pull_request_from_a_fork_is_tested(world: World) -> None:
    """A member may test a non-member's fork; its head is fetched from the recipe's repository."""
    number, sha = world.pull(user=NON_MEMBER)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "success"
    assert world.builds()[0]["params"]["SRC"] == world.repo


def test_deleted_fork_cancels_its_run(world: World) -> None:
    """Deleting the fork closes the pull request."""
    number, sha = world.pull(user=NON_MEMBER)
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    world.forge.call("DELETE", f"/repos/{NON_MEMBER}/{world.recipe}", user=NON_MEMBER)
    assert world.final_state(sha) == "error"
    assert "the pull request was closed" in world.sticky_comment(number, "cancelled")


def test_push_cancels_the_run_and_starts_none(world: World) -> None:
    """The commit is pinned when the command is accepted."""
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    newer = world.push(number, text="newer")
    assert world.final_state(sha) == "error"
    body = world.sticky_comment(number, "cancelled")
    assert sha[:8] in body and newer[:8] in body
    world.wait_until_idle()
    assert [b["params"]["REF"] for b in world.builds()] == [sha]
    assert world.status(newer) == ("", "")


def test_push_right_after_the_comment_is_not_tested(make_world: Make) -> None:
    """The webhook reports the head that the author saw."""
    world = make_world("hook")
    world.open()
    number, sha = world.pull()
    pushed: list[str] = []

    def push(method: str, path: str, body: bytes) -> None:
        if path.endswith(f"/pulls/{number}") and not pushed:
            pushed.append(world.push(number, text="newer"))
            world.until(lambda: _head_of(world, number) == pushed[0], "the pull request moves")

    world.gitea_proxy.before = push
    world.hold(sha)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "error"
    assert pushed[0][:8] in world.sticky_comment(number, "cancelled")
    assert [b["params"]["REF"] for b in world.builds()] in ([], [sha])
    assert world.status(pushed[0]) == ("", "")


def _head_of(world: World, number: int) -> str:
    return str(world.forge.call("GET", f"/repos/{world.repo}/pulls/{number}")["head"]["sha"])


def test_second_command_for_the_same_commit_joins_the_run(world: World) -> None:
    """It gets its reaction; there is one build and one comment."""
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running")
    second = world.comment(number, "!testme")
    world.until(lambda: "eyes" in world.forge.reactions(world.repo, second), "a reaction")
    world.release(sha)
    assert world.final_state(sha) == "success"
    world.wait_until_idle()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)


def test_second_run_edits_the_comment_and_lists_the_first(world: World) -> None:
    """The commit status is pending again before it has a new verdict (L6)."""
    number, sha = world.pull()
    world.plan(sha, fail="restore")
    world.comment(number, "!testme")
    assert world.final_state(sha) == "failure"
    world.wait_until_idle()
    world.plan(sha)
    world.hold(sha)
    world.comment(number, "!testme")
    world.until(lambda: world.status(sha)[0] == "pending", "pending again")
    world.release(sha)
    body = world.sticky_comment(number, "passed, level 5")
    assert "Earlier verdicts" in body and "the recipe failed in restore" in body
    world.wait_until_idle()
    assert world.status(sha)[0] == "success"
    assert len(world.bot_comments(number)) == 1


def test_cancel_stops_the_run(world: World) -> None:
    """The build is `killed` in Drone."""
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    world.comment(number, "!testme cancel")
    assert world.final_state(sha) == "error"
    assert "cancelled by alice" in world.sticky_comment(number, "cancelled")
    assert [b["status"] for b in world.builds()] == ["killed"]


def test_cancel_without_a_run_gets_a_reply(world: World) -> None:
    number, _ = world.pull()
    world.comment(number, "!testme cancel")
    world.until(lambda: "nothing to cancel" in "".join(world.bot_comments(number)), "an answer")
    assert world.builds() == []


def test_unknown_command_gets_help_once_an_hour(world: World) -> None:
    number, _ = world.pull()
    world.comment(number, "!testme please")
    world.until(lambda: world.bot_comments(number), "an answer")
    last = world.comment(number, "!testme now")
    world.until(lambda: "confused" in world.forge.reactions(world.repo, last), "a reaction")
    world.wait_until_idle()
    (answer,) = world.bot_comments(number)
    assert "!testme --quick" in answer
    assert world.builds() == []


def test_other_comments_are_ignored(world: World) -> None:
    """Quotes, code, similar words, edited comments and plain issues start nothing and get no reply."""
    number, sha = world.pull()
    for body in (
        "> !testme",
        "```\n!testme now\n```",
        "!testmexyz",
        "please !testme",
        "    !testme x",
    ):
        world.comment(number, body)
    edited = world.comment(number, "hello")
    path = f"/repos/{world.repo}/issues/comments/{edited}"
    world.until(lambda: _edit_later(world, path), "the edit gets a later time")
    issue = world.forge.call("POST", f"/repos/{world.repo}/issues", {"title": "x"})["number"]
    world.comment(issue, "!testme")
    other, other_sha = world.pull()
    world.comment(other, "!testme")  # the last comment is processed last
    assert world.final_state(other_sha) == "success"
    world.wait_until_idle()
    assert world.bot_comments(number) == [] and world.bot_comments(issue) == []
    assert [b["params"]["REF"] for b in world.builds()] == [other_sha]
    assert world.status(sha) == ("", "")


def _edit_later(world: World, path: str) -> bool:
    """Edit a comment until its time of change is later than its creation; both have whole seconds."""
    row = world.forge.call("PATCH", path, {"body": f"hello {time.monotonic()}"})
    if row["updated_at"] <= row["created_at"]:
        return False
    world.forge.call("PATCH", path, {"body": "!testme"})
    return True


def test_closed_pull_request_is_not_tested(world: World) -> None:
    number, sha = world.pull()
    world.close_pull(number)
    world.comment(number, "!testme")
    other, other_sha = world.pull()
    world.comment(other, "!testme")
    assert world.final_state(other_sha) == "success"
    assert world.status(sha) == ("", "")


def test_closing_the_pull_request_cancels_the_run(world: World) -> None:
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    world.close_pull(number)
    assert world.final_state(sha) == "error"
    assert "the pull request was closed" in world.sticky_comment(number, "cancelled")


def test_command_after_a_push_cancels_the_older_run(world: World) -> None:
    """The new head is tested, and both verdicts are listed."""
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    newer = world.push(number, text="newer")
    world.comment(number, "!testme")
    assert world.final_state(newer) == "success"
    assert world.final_state(sha) == "error"
    assert "Earlier verdicts" in world.sticky_comment(number, "passed, level 5")


def test_recipe_that_is_not_enrolled_gets_a_reply(world: World) -> None:
    """Repositories that are not enrolled are not polled, so this needs the webhook."""
    world.forge.create_repository(world.org, "other")
    repo = f"{world.org}/other"
    world.forge.commit(repo, "main", "compose.yml", "services: {}\n")
    world.forge.commit(repo, "change", "note.txt", "x")
    number = world.forge.open_pull_request(repo, "change", "x", user=MEMBER)
    world.forge.comment(repo, number, "!testme", user=MEMBER)
    world.until(lambda: len(world.forge.comments(repo, number)) == 2, "an answer")
    assert "not enrolled" in world.forge.comments(repo, number)[1]["body"]


def test_comments_before_the_enrolment_are_ignored(make_world: Make) -> None:
    """Incident I5: a restarted bridge acted on old comments."""
    world = make_world("poll")
    number, sha = world.pull()
    old = world.comment(number, "!testme")
    world.until(lambda: _is_older_now(world, number, old), "the next second")
    world.open()
    other, other_sha = world.pull()
    world.comment(other, "!testme")
    assert world.final_state(other_sha) == "success"
    assert world.status(sha) == ("", "")


def _is_older_now(world: World, number: int, comment: int) -> bool:
    """Return True if a new comment has a later second than an old one."""
    rows = {row["id"]: row["created_at"] for row in world.forge.comments(world.repo, number)}
    newer = world.comment(number, "tick")
    row = world.forge.call("GET", f"/repos/{world.repo}/issues/comments/{newer}")
    return bool(row["created_at"] > rows[comment])
