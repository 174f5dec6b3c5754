"""Decisions on commands, and how a build is started once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bridge.answers import messages
from bridge.bridge import Context, process_testme, trigger_build
from bridge.clients.drone import Build
from bridge.clients.gitea import Pull
from bridge.clients.http import CallError
from bridge.comments.guards import Guards
from bridge.model import Command, CommandComment, Outbox, Run
from bridge.store import Store

SHA, NEWER = "a" * 40, "b" * 40
COMMENT = CommandComment(1, "org/shop", 3, "alice", Command.COLD, 1.0)
RUN = Run(0, "org/shop", 3, "cold", "shop", SHA, "alice", 1, 1.0)


@dataclass
class Gitea:
    """A forge with one pull request and one member."""

    pull_request: Pull = field(default_factory=lambda: Pull(3, open=True, head=SHA))

    def pull(self, repo: str, pr: int) -> Pull:
        """Return the pull request."""
        return self.pull_request

    def is_member(self, org: str, user: str) -> bool:
        """Return True for alice."""
        return user == "alice"


@dataclass
class Drone:
    """A Drone that loses the response to the creation of a build if `loses_response`."""

    builds: list[Build] = field(default_factory=list)
    loses_response: bool = False

    def create(self, parameters: Mapping[str, str]) -> Build:
        """Create a build."""
        number = len(self.builds) + 1
        build = Build(number, "pending", "custom", "", parameters, 0.0, 0.0)
        self.builds.append(build)
        if self.loses_response:
            raise CallError("unreachable", "connection reset")
        return build

    def latest(self, count: int = 50) -> list[Build]:
        """Return the latest builds, latest first."""
        return self.builds[::-1][:count]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Yield an empty store."""
    made = Store(tmp_path / "bridge.sqlite")
    yield made
    made.close()


def context(store: Store, gitea: Gitea | None = None) -> Context:
    """Return the context of decisions; only `shop` is enrolled."""
    guards = Guards(
        org="org",
        bot="ccbot",
        allowed=frozenset({"carol"}),
        ignored=frozenset({"renovate"}),
        enrolled=lambda: frozenset({"shop"}),
    )
    forge: Any = gitea or Gitea()
    return Context(forge, store, guards)


def decide(store: Store, comment: CommandComment, gitea: Gitea | None = None) -> str:
    """Record a comment and decide on it."""
    store.record_comments(comment.repo, [comment], None)
    return process_testme(context(store, gitea), comment)


def replies(store: Store) -> list[str]:
    """Return the texts of the replies to post."""
    return [reply.body for reply in store.pending_replies()]


# -- decisions


@pytest.mark.parametrize(("command", "lane"), [(Command.COLD, "cold"), (Command.QUICK, "quick")])
def test_command_of_a_member_starts_a_run(store: Store, command: Command, lane: str) -> None:
    assert decide(store, replace(COMMENT, command=command)) == "started"
    (run,) = store.active("org/shop", 3)
    assert (run.sha, run.lane, run.recipe, run.requester) == (SHA, lane, "shop", "alice")
    assert [reaction.content for reaction in store.pending_reactions()] == ["eyes"]
    assert store.undecided() == []


def test_head_reported_by_the_webhook_is_tested(store: Store) -> None:
    """A push may come between the comment and the decision."""
    decide(store, replace(COMMENT, head=NEWER))
    assert [run.sha for run in store.active()] == [NEWER]


def test_second_command_for_the_same_commit_joins_the_run(store: Store) -> None:
    decide(store, COMMENT)
    assert decide(store, replace(COMMENT, id=2)) == "joined"
    assert len(store.active()) == 1


def test_command_for_a_newer_commit_cancels_the_older_run(store: Store) -> None:
    decide(store, COMMENT)
    newer = Gitea(Pull(3, open=True, head=NEWER))
    assert decide(store, replace(COMMENT, id=2), newer) == "started"
    older, run = store.active()
    assert (older.cancel_reason, run.cancel_reason) == (messages.superseded("alice", NEWER), "")


def test_cancel_stops_all_runs_of_the_pull_request(store: Store) -> None:
    decide(store, COMMENT)
    decide(store, replace(COMMENT, id=2, command=Command.QUICK))
    assert decide(store, replace(COMMENT, id=3, command=Command.CANCEL)) == "cancelled"
    assert {run.cancel_reason for run in store.active()} == {"cancelled by alice"}


@pytest.mark.parametrize(
    ("comment", "decision", "reply"),
    [
        (replace(COMMENT, command=Command.CANCEL), "nothing to cancel", messages.NOTHING_TO_CANCEL),
        (replace(COMMENT, command=Command.HELP), "help", messages.HELP),
        (replace(COMMENT, command=Command.UNKNOWN), "help", messages.HELP),
        (replace(COMMENT, author="mallory"), "stranger", messages.non_member("org")),
        (replace(COMMENT, repo="org/blog"), "not-enrolled", messages.not_enrolled("blog")),
        (replace(COMMENT, head="x"), "parameters", messages.bad_parameters(["REF"])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_commands_get_one_reply(
    store: Store, comment: CommandComment, decision: str, reply: str
) -> None:
    assert decide(store, comment) == decision
    assert decide(store, replace(comment, id=2)) == decision
    assert replies(store) == [reply]
    assert [reaction.content for reaction in store.pending_reactions()] == ["confused"] * 2
    assert store.active() == []


def test_allowed_user_who_is_not_a_member_starts_a_run(store: Store) -> None:
    assert decide(store, replace(COMMENT, author="Carol")) == "started"


@pytest.mark.parametrize("author", ["CCbot", "renovate"])
def test_bots_are_ignored(store: Store, author: str) -> None:
    assert decide(store, replace(COMMENT, author=author)) == "bot"
    assert (replies(store), store.pending_reactions()) == ([], [])


def test_closed_pull_request_is_ignored(store: Store) -> None:
    assert decide(store, COMMENT, Gitea(Pull(3, open=False, head=SHA))) == "closed"
    assert (replies(store), store.pending_reactions()) == ([], [])


# -- starting the build


def started(store: Store, drone: Drone, run: Run) -> Run:
    """Start the build of a run."""
    client: Any = drone
    return trigger_build(client, store, run)


@pytest.mark.parametrize("lane", ["cold", "quick"])
def test_build_has_exactly_the_parameters_of_its_run(store: Store, lane: Any) -> None:
    made = store.decide(COMMENT, "started", Outbox(run=replace(RUN, lane=lane)))
    assert made is not None
    drone = Drone()
    run = started(store, drone, made)
    assert (run.build, run.state) == (1, "queued")
    wanted = {"RECIPE": "shop", "REF": SHA, "PR": "3", "SRC": "org/shop"}
    assert dict(drone.builds[0].params) == wanted | ({"CCCI_QUICK": "1"} if lane == "quick" else {})


def test_build_whose_response_was_lost_is_adopted(store: Store) -> None:
    """Drone has created it; a second one would test the same commit twice."""
    made = store.decide(COMMENT, "started", Outbox(run=RUN))
    assert made is not None
    drone = Drone(loses_response=True)
    with pytest.raises(CallError):
        started(store, drone, made)
    run = started(store, drone, store.run(made.id))
    assert (run.build, len(drone.builds)) == (1, 1)


def test_build_of_an_earlier_run_is_not_adopted(store: Store) -> None:
    """It may have the same parameters."""
    drone = Drone()
    for number in (1, 2):
        made = store.decide(replace(COMMENT, id=number), "started", Outbox(run=RUN))
        assert made is not None
        assert started(store, drone, made).build == number
