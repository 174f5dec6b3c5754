"""What the publisher does at the forge, and when it gives up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.answers import sticky_comment
from bridge.answers.publisher import Publisher
from bridge.answers.sticky_comment import Links
from bridge.clients.gitea import Comment
from bridge.clients.http import CallError
from bridge.model import Command, CommandComment, Outbox, Result, Run
from bridge.store import Store
from contract.verdicts import Verdict

SHA = "a" * 40
COMMENT = CommandComment(1, "org/shop", 3, "alice", Command.COLD, 1.0)
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 1, 1.0)
FAILED = Result(Verdict.RECIPE, "failure", "no page")


class Gitea:
    """A forge that keeps what is published, and raises the errors in `errors` by method name."""

    def __init__(self) -> None:
        self.comments: dict[int, str] = {}
        self.statuses: list[tuple[str, str]] = []
        self.reactions: list[str] = []
        self.errors: dict[str, CallError] = {}

    def _check(self, method: str) -> None:
        if method in self.errors:
            raise self.errors[method]

    def react(self, repo: str, comment: int, content: str) -> None:
        """Add a reaction."""
        self._check("react")
        self.reactions.append(content)

    def post(self, repo: str, pr: int, body: str) -> int:
        """Post a comment; the error comes after the comment is there, as with a lost response."""
        self.comments[len(self.comments) + 1] = body
        self._check("post")
        return len(self.comments)

    def edit(self, repo: str, comment: int, body: str) -> None:
        """Edit a comment."""
        if comment not in self.comments:
            raise CallError("missing", "no such comment", status=404)
        self.comments[comment] = body

    def comments_on(self, repo: str, pr: int) -> list[Comment]:
        """Return all comments, written by the bot."""
        now = datetime.now(UTC)
        return [Comment(n, repo, pr, "CCbot", body, now, now) for n, body in self.comments.items()]

    def set_status(self, repo: str, sha: str, *, state: str, description: str, **rest: str) -> None:
        """Set a commit status."""
        self._check("set_status")
        self.statuses.append((state, description))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    made = Store(tmp_path / "bridge.sqlite")
    yield made
    made.close()


@pytest.fixture
def gitea() -> Gitea:
    """Return a forge."""
    return Gitea()


def publisher(gitea: Gitea, store: Store) -> Publisher:
    """Return a publisher as after a restart."""
    client: Any = gitea
    return Publisher(client, store, Links("http://drone.example"), "ccbot")


def start(store: Store, run: Run = RUN, **out: Any) -> Run:
    """Store a decision with a run."""
    made = store.decide(replace(COMMENT, id=run.comment), "started", Outbox(run=run, **out))
    assert made is not None
    return made


def test_accepted_run_gets_reaction_status_and_comment(store: Store, gitea: Gitea) -> None:
    start(store, reaction="eyes")
    publisher(gitea, store).step()
    assert gitea.reactions == ["eyes"]
    assert gitea.statuses == [("pending", "accepted, starting")]
    assert "accepted, starting" in gitea.comments[1]
    publisher(gitea, store).step()
    assert (len(gitea.reactions), len(gitea.statuses), len(gitea.comments)) == (1, 1, 1)


def test_result_is_published_once(store: Store, gitea: Gitea) -> None:
    run = start(store)
    publisher(gitea, store).step()
    store.update(run, state="done", result=FAILED, finished=2.0)
    publisher(gitea, store).step()
    assert gitea.statuses[-1] == ("failure", "the recipe failed")
    assert "the recipe failed" in gitea.comments[1] and "no page" in gitea.comments[1]
    publisher(gitea, store).step()
    assert store.unpublished() == []
    assert (len(gitea.statuses), len(gitea.comments)) == (2, 1)


def test_comment_whose_response_was_lost_is_found_again(store: Store, gitea: Gitea) -> None:
    """A second comment would never be edited or removed."""
    start(store)
    gitea.errors["post"] = CallError("unreachable", "connection reset")
    publisher(gitea, store).step()
    gitea.errors.clear()
    publisher(gitea, store).step()
    assert len(gitea.comments) == 1
    known = store.sticky_comment("org/shop", 3, "cold")
    assert known is not None and known.id == 1


def test_reply_whose_response_was_lost_is_not_posted_again(store: Store, gitea: Gitea) -> None:
    store.decide(COMMENT, "help", Outbox(reply=("help", "some help")))
    gitea.errors["post"] = CallError("unreachable", "connection reset")
    publisher(gitea, store).step()
    gitea.errors.clear()
    publisher(gitea, store).step()
    assert gitea.comments == {1: f"{sticky_comment.reply_marker(1)}\nsome help\n"}
    assert store.pending_replies() == []


def test_deleted_comment_is_posted_again(store: Store, gitea: Gitea) -> None:
    run = start(store)
    publisher(gitea, store).step()
    gitea.comments.clear()
    store.update(run, state="done", result=FAILED, finished=2.0)
    publisher(gitea, store).step()
    publisher(gitea, store).step()
    assert "the recipe failed" in gitea.comments[1]


def test_only_the_latest_run_of_a_commit_sets_its_status(store: Store, gitea: Gitea) -> None:
    """A run that was retried or cancelled must not cover the verdict of a newer one."""
    older = start(store)
    start(store, replace(RUN, comment=2))
    store.update(older, state="done", result=FAILED, finished=2.0)
    publisher(gitea, store).step()
    assert gitea.statuses == [("pending", "accepted, starting")]


def test_reaction_that_the_forge_refuses_is_given_up(store: Store, gitea: Gitea) -> None:
    start(store, reaction="eyes")
    gitea.errors["react"] = CallError("refused", "HTTP 422", status=422)
    publisher(gitea, store).step()
    assert store.pending_reactions() == []


@pytest.mark.parametrize("kind", ["denied", "missing", "server", "unreachable"])
def test_status_is_retried_while_it_may_succeed(store: Store, gitea: Gitea, kind: Any) -> None:
    """An operator may fix a permission, and 404 does not prove that something is gone (L12)."""
    start(store)
    gitea.errors["set_status"] = CallError(kind, "no")
    assert 0 < publisher(gitea, store).step() <= 1.0
    gitea.errors.clear()
    publisher(gitea, store).step()
    assert gitea.statuses == [("pending", "accepted, starting")]
