"""From a comment to a Drone build.

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
from bridge.comments.grammar import parse_trigger
from bridge.comments.guards import Guards, Refused
from bridge.model import Command, CommandComment, Outbox, Run
from bridge.store import Store
from contract.verdicts import Lane

__all__ = ["Context", "parse_trigger", "process_testme", "trigger_build"]

HOUR, FOREVER = 3600.0, 1e12  # seconds
PARAMETERS = {
    "RECIPE": re.compile(r"[a-z0-9][a-z0-9._-]{0,62}"),
    "REF": re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?"),
    "PR": re.compile(r"[0-9]{1,9}"),
    "SRC": re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}"),
    "CCCI_QUICK": re.compile(r"1"),
}


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision needs: the forge, the store, and the rules on who may request what."""

    gitea: Gitea
    store: Store
    guards: Guards


# %% Deciding


def process_testme(context: Context, comment: CommandComment) -> str:
    """Decide on one comment and store the decision with everything it adds.

    Returns:
        The decision in a few words, for the log.

    Raises:
        CallError: the forge did not answer; nothing is decided, try again.
        NotAMember: the bot cannot see who is a member; nothing is decided either.
    """
    try:
        pull = context.guards.check(context.gitea, comment)
        if comment.command.starts:
            _refuse_bad_parameters(comment, pull)
            decision, out = _start(context, comment, pull)
        elif comment.command is Command.CANCEL:
            decision, out = _cancel(context, comment)
        else:
            decision = "help"
            out = _reply_once(context, comment, decision, messages.HELP, within=HOUR)
    except Refused as refusal:
        decision, out = refusal.reason, _refuse(context, comment, refusal)
        metrics.REFUSALS.labels(refusal.reason).inc()
    context.store.decide(comment, decision, out)
    return decision


def _start(context: Context, comment: CommandComment, pull: Pull) -> tuple[str, Outbox]:
    """Start a run of the commit that the author saw, if the webhook reported it; else of the current head.

    If a run of the same commit is active, nothing new starts; runs of other commits are cancelled.
    """
    sha = comment.head or pull.head
    lane: Lane = "quick" if comment.command is Command.QUICK else "cold"
    older = [
        run
        for run in context.store.active(comment.repo, comment.pr)
        if run.lane == lane and not run.cancel_reason
    ]
    if any(run.sha == sha for run in older):
        return "joined", Outbox(reaction="eyes")
    reason = messages.superseded(comment.author, sha)
    run = Run(
        id=0,
        repo=comment.repo,
        pr=comment.pr,
        lane=lane,
        recipe=comment.repo.partition("/")[2],
        sha=sha,
        requester=comment.author,
        comment=comment.id,
        accepted=time.time(),
    )
    return "started", Outbox(run=run, reaction="eyes", cancel={run.id: reason for run in older})


def _cancel(context: Context, comment: CommandComment) -> tuple[str, Outbox]:
    """Cancel all runs of this pull request."""
    active = context.store.active(comment.repo, comment.pr)
    running = [run for run in active if not run.cancel_reason]
    if not running:
        text = messages.NOTHING_TO_CANCEL
        return "nothing to cancel", _reply_once(context, comment, "idle", text, within=HOUR)
    reason = messages.cancelled_by(comment.author)
    return "cancelled", Outbox(reaction="eyes", cancel={run.id: reason for run in running})


def _refuse(context: Context, comment: CommandComment, refusal: Refused) -> Outbox:
    """Reply with the reason, once; do nothing if the refusal has no text."""
    if not refusal.text:
        return Outbox()
    return _reply_once(context, comment, refusal.reason, refusal.text, within=FOREVER)


def _reply_once(
    context: Context, comment: CommandComment, kind: str, text: str, *, within: float
) -> Outbox:
    """Reply, unless the author got the same reply on this pull request within so many seconds."""
    if context.store.has_reply(comment, kind, within=within):
        return Outbox(reaction="confused")
    return Outbox(reaction="confused", reply=(kind, text))


def _refuse_bad_parameters(comment: CommandComment, pull: Pull) -> None:
    values = parameters(comment.repo, comment.head or pull.head, comment.pr, quick=False)
    wrong = [name for name, value in values.items() if not PARAMETERS[name].fullmatch(value)]
    if wrong:
        raise Refused("parameters", messages.bad_parameters(wrong))


# %% Starting the build


def parameters(repo: str, sha: str, pr: int, *, quick: bool) -> dict[str, str]:
    """Return the parameters of the build: a fixed set of names, and nothing that a user typed.

    The commit is fetched from the recipe's own repository, which has the head of every pull request, also
    of deleted and private forks.
    """
    values = {"RECIPE": repo.partition("/")[2], "REF": sha, "PR": str(pr), "SRC": repo}
    return {**values, "CCCI_QUICK": "1"} if quick else values


def trigger_build(drone: Drone, store: Store, run: Run) -> Run:
    """Start the build of a run once: if an earlier attempt has created it already, adopt that one.

    Returns:
        The run with its build.

    Raises:
        NotStarted: Drone refused; an operator has to fix the reason.
        CallError: Drone did not answer; try again.
    """
    adopted = adopt_build(drone, store, run)
    if adopted is not None:
        return adopted
    if run.last_build_before is None:
        last = max((build.number for build in drone.latest(1)), default=0)
        run = store.update(run, last_build_before=last)
    build = drone.create(_parameters_of(run))
    metrics.BUILDS.labels(run.lane).inc()
    return store.update(run, build=build.number, state="queued", note=_kept_note(run))


def adopt_build(drone: Drone, store: Store, run: Run) -> Run | None:
    """Adopt the build that an earlier attempt created without receiving Drone's response.

    Returns:
        The run with its build, None if there is no such build.
    """
    if run.last_build_before is None:
        return None
    taken, wanted = store.builds(), _parameters_of(run)
    for build in drone.latest():
        matches = dict(build.params) == wanted and build.event == "custom"
        if matches and build.number > run.last_build_before and build.number not in taken:
            return store.update(run, build=build.number, state="queued", note=_kept_note(run))
    return None


def _parameters_of(run: Run) -> dict[str, str]:
    return parameters(run.repo, run.sha, run.pr, quick=run.lane == "quick")


def _kept_note(run: Run) -> str:
    """Return the note without "Drone does not answer"; that of a second attempt stays."""
    return "" if run.attempt == 1 else run.note
