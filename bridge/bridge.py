"""From a comment to a Drone build: what is asked, may it be, and the build that answers it.

`parse_trigger` reads the comment, `process_testme` decides on it, `trigger_build` starts the build.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from bridge import metrics
from bridge.answers import messages
from bridge.clients.drone import Drone
from bridge.clients.gitea import Gitea, Pull
from bridge.comments.grammar import Command, parse_command, parse_trigger
from bridge.comments.guards import Guards, Refused
from bridge.store import Lane, Outbox, Run, Spoken, Store

__all__ = ["Desk", "parse_command", "parse_trigger", "process_testme", "trigger_build"]

HOUR, EVER = 3600.0, 1e12  # seconds
PARAMETERS = {
    "RECIPE": re.compile(r"[a-z0-9][a-z0-9._-]{0,62}"),
    "REF": re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?"),
    "PR": re.compile(r"[0-9]{1,9}"),
    "SRC": re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}"),
    "CCCI_QUICK": re.compile(r"1"),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What decisions are made with: the forge, the memory, and who may ask for what."""

    gitea: Gitea
    store: Store
    guards: Guards


def process_testme(desk: Desk, spoken: Spoken) -> str:
    """Decide on one comment and write the decision with all that follows from it; return it in a word.

    Raises:
        CallError: the forge gave no answer; nothing is decided, so the comment is tried again.
        NotAMember: the bot cannot ask who is a member; likewise.
    """
    try:
        pull = desk.guards.check(desk.gitea, spoken)
        if spoken.command.starts:
            _refuse_bad_parameters(spoken, pull)
            decision, out = _start(desk, spoken, pull)
        elif spoken.command is Command.CANCEL:
            decision, out = _cancel(desk, spoken)
        else:
            decision, out = "help", _once(desk, spoken, "help", messages.HELP, within=HOUR)
    except Refused as refusal:
        decision, out = refusal.reason, _refuse(desk, spoken, refusal)
        metrics.REFUSALS.labels(refusal.reason).inc()
    desk.store.decide(spoken, decision, out)
    return decision


def _start(desk: Desk, spoken: Spoken, pull: Pull) -> tuple[str, Outbox]:
    """Pin the commit: the head that the person saw, where the forge told it with the comment.

    A run of the same commit is joined, one of another commit is cancelled.
    """
    sha = spoken.head or pull.head
    lane: Lane = "quick" if spoken.command is Command.QUICK else "cold"
    older = [
        run
        for run in desk.store.active(spoken.repo, spoken.pr)
        if run.lane == lane and not run.cancel
    ]
    if any(run.sha == sha for run in older):
        return "joined", Outbox(reaction="eyes")
    why = messages.superseded(spoken.person, sha)
    run = Run(
        id=0,
        repo=spoken.repo,
        pr=spoken.pr,
        lane=lane,
        recipe=spoken.repo.partition("/")[2],
        sha=sha,
        person=spoken.person,
        comment=spoken.id,
        accepted=time.time(),
    )
    return "started", Outbox(run=run, reaction="eyes", cancel={run.id: why for run in older})


def _cancel(desk: Desk, spoken: Spoken) -> tuple[str, Outbox]:
    """Cancel whatever runs for this pull request."""
    running = [run for run in desk.store.active(spoken.repo, spoken.pr) if not run.cancel]
    if not running:
        return "nothing to cancel", _once(
            desk, spoken, "idle", messages.NOTHING_TO_CANCEL, within=HOUR
        )
    why = messages.cancelled_by(spoken.person)
    return "cancelled", Outbox(reaction="eyes", cancel={run.id: why for run in running})


def _refuse(desk: Desk, spoken: Spoken, refusal: Refused) -> Outbox:
    """Tell the person why, once; where the guards want silence there is none."""
    if not refusal.text:
        return Outbox()
    return _once(desk, spoken, refusal.reason, refusal.text, within=EVER)


def _once(desk: Desk, spoken: Spoken, kind: str, text: str, *, within: float) -> Outbox:
    """Answer, unless this person had the same answer on this pull request within so many seconds."""
    had = desk.store.answered(spoken.repo, spoken.pr, spoken.person, kind, within=within)
    return Outbox(reaction="confused") if had else Outbox(None, "confused", (kind, text))


def _refuse_bad_parameters(spoken: Spoken, pull: Pull) -> None:
    values = parameters(spoken.repo, spoken.head or pull.head, spoken.pr, quick=False)
    wrong = [name for name, value in values.items() if not PARAMETERS[name].fullmatch(value)]
    if wrong:
        raise Refused("parameters", messages.bad_parameters(wrong))


def parameters(repo: str, sha: str, pr: int, *, quick: bool) -> dict[str, str]:
    """Return the build's parameters: a fixed set of names, nothing that a person typed.

    The commit is fetched from the recipe's own repository, which has the head of every pull request,
    of deleted and of private forks too.
    """
    values = {"RECIPE": repo.partition("/")[2], "REF": sha, "PR": str(pr), "SRC": repo}
    return {**values, "CCCI_QUICK": "1"} if quick else values


def trigger_build(drone: Drone, store: Store, run: Run) -> Run:
    """Start the build of a run, once: a build that an earlier try made is found and taken instead.

    Raises:
        NotStarted: Drone refused for a reason that an operator has to mend.
        CallError: Drone gave no answer; try again.
    """
    found = adopt_build(drone, store, run)
    if found is not None:
        return found
    if run.newest is None:
        newest = max((build.number for build in drone.latest(1)), default=0)
        run = store.change(run, newest=newest)
    made = drone.create(_wanted(run))
    metrics.BUILDS.labels(run.lane).inc()
    return store.change(run, build=made.number, state="queued", note=_kept_note(run))


def adopt_build(drone: Drone, store: Store, run: Run) -> Run | None:
    """Take the build that an earlier try made without our hearing of it; None where there is none."""
    if run.newest is None:
        return None
    taken, wanted = store.builds(), _wanted(run)
    for build in drone.latest():
        ours = dict(build.params) == wanted and build.event == "custom"
        if ours and build.number > run.newest and build.number not in taken:
            return store.change(run, build=build.number, state="queued", note=_kept_note(run))
    return None


def _wanted(run: Run) -> dict[str, str]:
    return parameters(run.repo, run.sha, run.pr, quick=run.lane == "quick")


def _kept_note(run: Run) -> str:
    """Return the note of a second attempt; that Drone was silent is over."""
    return "" if run.attempt == 1 else run.note
