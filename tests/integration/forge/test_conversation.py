"""The maintainer's conversation with a real Gitea: what is said, what is started, what is answered."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.forge.conversation import MEMBER, STRANGER, World

pytestmark = pytest.mark.forge
Make = Callable[..., World]


@pytest.mark.parametrize("path", ["hook", "poll", "both"])
def test_a_good_pull_request_ends_green(make_world: Make, path: str) -> None:
    """By webhook, by polling or both: reaction, pending, every stage, level 5, one comment and build (L5)."""
    world = make_world(path)
    world.open()
    number, sha = world.pull()
    world.hold(sha)
    comment = world.say(number, "!testme")
    world.until(lambda: world.status(sha)[0] == "pending", "a pending status")
    world.until(lambda: "eyes" in world.forge.reactions(world.repo, comment), "a reaction")
    world.living(number, "running: install")
    world.release(sha)
    assert world.ended(sha) == "success"
    assert world.status(sha)[1] == "passed, level 5"
    body = world.living(number, "passed, level 5")
    for stage in ("install", "upgrade", "backup", "restore", "functional", "lint"):
        assert f"| ✅ | {stage} |" in body
    assert "http://runs.example/" in body and "/junit.xml" in body
    assert f"pytest recipes_tests --recipe {world.recipe} --ref {sha}" in body
    world.quiet()
    assert len(world.bot_comments(number)) == 1
    assert [b["params"] for b in world.builds()] == [
        {"RECIPE": world.recipe, "REF": sha, "PR": str(number), "SRC": world.repo}
    ]


def test_a_broken_pull_request_ends_red_and_says_where(world: World) -> None:
    """The stage and its reason stand in status and comment; what an app wrote can do nothing there."""
    number, sha = world.pull()
    world.plan(sha, fail="backup")
    world.say(number, "!testme")
    assert world.ended(sha) == "failure"
    assert world.status(sha)[1] == "the recipe failed in backup"
    body = world.living(number, "the recipe failed in backup")
    html = world.rendered(body)
    assert re.search(r"<strong>backup:</strong> <code[^>]*>@alice", html)
    assert "test_backup" in html and "app.log line 1" in html
    assert 'class="mention"' not in html and "http://evil" not in re.findall('href="([^"]*)"', html)


def test_a_quick_run_is_told_apart(world: World) -> None:
    """Its own context, its own parameter, lower confidence, no level; the cold context stays untouched."""
    number, sha = world.pull()
    world.say(number, "!testme --quick")
    assert world.ended(sha, "quick") == "success"
    assert world.status(sha) == ("", "")
    assert "lower confidence" in world.living(number, "passed")
    assert [b["params"].get("CCCI_QUICK") for b in world.builds()] == ["1"]


def test_a_stranger_starts_nothing_and_is_told_once(world: World) -> None:
    """A person outside of the organisation gets one answer, however often they ask."""
    number, sha = world.pull(user=STRANGER)
    world.say(number, "!testme", user=STRANGER)
    world.until(lambda: world.bot_comments(number), "an answer")
    again = world.say(number, "!testme", user=STRANGER)
    world.until(lambda: "confused" in world.forge.reactions(world.repo, again), "a reaction")
    world.quiet()
    (answer,) = world.bot_comments(number)
    assert "Only members" in answer
    assert (world.builds(), world.status(sha)) == ([], ("", ""))


def test_a_pull_request_from_a_fork_is_tested(world: World) -> None:
    """A member may have a stranger's fork tested; its head is fetched from the recipe's repository."""
    number, sha = world.pull(user=STRANGER)
    world.say(number, "!testme")
    assert world.ended(sha) == "success"
    assert world.builds()[0]["params"]["SRC"] == world.repo


def test_a_deleted_fork_cancels_its_run(world: World) -> None:
    """Deleting the fork closes the pull request: the run ends as cancelled, and says so."""
    number, sha = world.pull(user=STRANGER)
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    world.forge.call("DELETE", f"/repos/{STRANGER}/{world.recipe}", user=STRANGER)
    assert world.ended(sha) == "error"
    assert "the pull request was closed" in world.living(number, "cancelled")


def test_a_push_does_not_change_what_is_tested(world: World) -> None:
    """The commit is pinned when the comment is accepted; a push cancels the run and starts none."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    newer = world.push(number, text="newer")
    assert world.ended(sha) == "error"
    body = world.living(number, "cancelled")
    assert sha[:8] in body and newer[:8] in body
    world.quiet()
    assert [b["params"]["REF"] for b in world.builds()] == [sha]
    assert world.status(newer) == ("", "")


def test_a_push_before_the_comment_is_heard_changes_nothing(make_world: Make) -> None:
    """The webhook tells the head that the person saw; who pushes in the next moment is not tested for it."""
    world = make_world("hook")
    world.open()
    number, sha = world.pull()
    pushed: list[str] = []

    def push(method: str, path: str, body: bytes) -> None:
        if path.endswith(f"/pulls/{number}") and not pushed:
            pushed.append(world.push(number, text="newer"))
            world.until(lambda: _head_of(world, number) == pushed[0], "the pull request moves")

    world.gitea_toll.before = push
    world.hold(sha)
    world.say(number, "!testme")
    assert world.ended(sha) == "error"
    assert pushed[0][:8] in world.living(number, "cancelled")
    assert [b["params"]["REF"] for b in world.builds()] in ([], [sha])
    assert world.status(pushed[0]) == ("", "")


def _head_of(world: World, number: int) -> str:
    return str(world.forge.call("GET", f"/repos/{world.repo}/pulls/{number}")["head"]["sha"])


def test_the_same_commit_is_joined(world: World) -> None:
    """A second wish for the same commit gets its reaction and the running build's verdict."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running")
    second = world.say(number, "!testme")
    world.until(lambda: "eyes" in world.forge.reactions(world.repo, second), "a reaction")
    world.release(sha)
    assert world.ended(sha) == "success"
    world.quiet()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)


def test_a_rerun_edits_the_comment_and_keeps_the_verdicts(world: World) -> None:
    """Each run after the first edits the same comment, and is pending before it has a verdict (L6)."""
    number, sha = world.pull()
    world.plan(sha, fail="restore")
    world.say(number, "!testme")
    assert world.ended(sha) == "failure"
    world.quiet()
    world.plan(sha)
    world.hold(sha)
    world.say(number, "!testme")
    world.until(lambda: world.status(sha)[0] == "pending", "the old verdict is covered")
    world.release(sha)
    body = world.living(number, "passed, level 5")
    assert "Earlier verdicts" in body and "the recipe failed in restore" in body
    world.quiet()
    assert world.status(sha)[0] == "success"
    assert len(world.bot_comments(number)) == 1


def test_cancel_ends_what_runs(world: World) -> None:
    """`!testme cancel` of a member ends the run; Drone has the build as killed."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    world.say(number, "!testme cancel")
    assert world.ended(sha) == "error"
    assert "cancelled by alice" in world.living(number, "cancelled")
    assert [b["status"] for b in world.builds()] == ["killed"]


def test_cancel_without_a_run_is_answered(world: World) -> None:
    """There being nothing to cancel is said, and starts nothing."""
    number, _ = world.pull()
    world.say(number, "!testme cancel")
    world.until(lambda: "nothing to cancel" in "".join(world.bot_comments(number)), "an answer")
    assert world.builds() == []


def test_help_comes_once_an_hour(world: World) -> None:
    """What is not understood gets one short help per pull request and person."""
    number, _ = world.pull()
    world.say(number, "!testme please")
    world.until(lambda: world.bot_comments(number), "an answer")
    last = world.say(number, "!testme now")
    world.until(lambda: "confused" in world.forge.reactions(world.repo, last), "a reaction")
    world.quiet()
    (answer,) = world.bot_comments(number)
    assert "!testme --quick" in answer
    assert world.builds() == []


def test_what_is_no_command_is_passed_over(world: World) -> None:
    """Quotes, code, look-alikes, edited comments and plain issues start nothing and get no answer."""
    number, sha = world.pull()
    for body in (
        "> !testme",
        "```\n!testme now\n```",
        "!testmexyz",
        "please !testme",
        "    !testme x",
    ):
        world.say(number, body)
    edited = world.say(number, "hello")
    path = f"/repos/{world.repo}/issues/comments/{edited}"
    world.until(lambda: _edit_later(world, path), "the edit gets a later time")
    issue = world.forge.call("POST", f"/repos/{world.repo}/issues", {"title": "x"})["number"]
    world.say(issue, "!testme")
    other, other_sha = world.pull()
    world.say(other, "!testme")  # what comes last is heard last
    assert world.ended(other_sha) == "success"
    world.quiet()
    assert world.bot_comments(number) == [] and world.bot_comments(issue) == []
    assert [b["params"]["REF"] for b in world.builds()] == [other_sha]
    assert world.status(sha) == ("", "")


def _edit_later(world: World, path: str) -> bool:
    """Edit a comment until its time of change is later than its creation, which has whole seconds."""
    row = world.forge.call("PATCH", path, {"body": f"hello {time.monotonic()}"})
    if row["updated_at"] <= row["created_at"]:
        return False
    world.forge.call("PATCH", path, {"body": "!testme"})
    return True


def test_a_closed_pull_request_is_not_tested(world: World) -> None:
    """A comment on a closed pull request starts nothing."""
    number, sha = world.pull()
    world.shut(number)
    world.say(number, "!testme")
    other, other_sha = world.pull()
    world.say(other, "!testme")
    assert world.ended(other_sha) == "success"
    assert world.status(sha) == ("", "")


def test_closing_cancels(world: World) -> None:
    """Closing the pull request ends its run."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    world.shut(number)
    assert world.ended(sha) == "error"
    assert "the pull request was closed" in world.living(number, "cancelled")


def test_a_newer_wish_cancels_the_older(world: World) -> None:
    """After a push, `!testme` tests the new head and the old run is cancelled; both verdicts are kept."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    newer = world.push(number, text="newer")
    world.say(number, "!testme")
    assert world.ended(newer) == "success"
    assert world.ended(sha) == "error"
    assert "Earlier verdicts" in world.living(number, "passed, level 5")


def test_a_recipe_without_a_folder_is_refused(world: World) -> None:
    """A comment in a repository of the organisation that is not enrolled is answered by the webhook."""
    world.forge.create_repository(world.org, "other")
    repo = f"{world.org}/other"
    world.forge.commit(repo, "main", "compose.yml", "services: {}\n")
    world.forge.commit(repo, "change", "note.txt", "x")
    number = world.forge.open_pull_request(repo, "change", "x", user=MEMBER)
    world.forge.comment(repo, number, "!testme", user=MEMBER)
    world.until(lambda: len(world.forge.comments(repo, number)) == 2, "an answer")
    assert "not enrolled" in world.forge.comments(repo, number)[1]["body"]


def test_comments_from_before_the_enrolment_do_not_count(make_world: Make) -> None:
    """A comment that was there before the bridge first looked starts nothing (incident I5)."""
    world = make_world("poll")
    number, sha = world.pull()
    old = world.say(number, "!testme")
    world.until(lambda: _is_older_now(world, number, old), "the clock goes on")
    world.open()
    other, other_sha = world.pull()
    world.say(other, "!testme")
    assert world.ended(other_sha) == "success"
    assert world.status(sha) == ("", "")


def _is_older_now(world: World, number: int, comment: int) -> bool:
    """Say whether a new comment has a later second than an old one."""
    rows = {row["id"]: row["created_at"] for row in world.forge.comments(world.repo, number)}
    newer = world.say(number, "tick")
    row = world.forge.call("GET", f"/repos/{world.repo}/issues/comments/{newer}")
    return bool(row["created_at"] > rows[comment])
