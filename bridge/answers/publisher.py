"""Publishes at the forge: reactions, replies, commit statuses and the sticky comment.

What is to be published is in the store, so a restarted bridge continues. The response to a posted comment may
be lost. So each comment has an invisible marker, by which the bot finds it instead of posting it again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial

from bridge import metrics
from bridge.answers import sticky_comment
from bridge.answers.sticky_comment import Links
from bridge.clients.gitea import Gitea
from bridge.clients.http import Backoff, CallError
from bridge.model import Reaction, Reply, Run, StatusState, StickyComment
from bridge.store import PUBLISHED, Store
from contract.verdicts import Lane

CONTEXTS: dict[Lane, str] = {"cold": "cc-ci/testme", "quick": "cc-ci/testme-quick"}
MIN_EDIT_INTERVAL = 2.0  # seconds between two edits of a comment during a run
# HTTP statuses for an unknown commit or comment. A forge in trouble responds alike (incident L12), so they
# count only after many tries: half an hour with back-off.
UNSURE = frozenset({404, 500})
MAX_UNSURE_TRIES = 25
log = logging.getLogger("bridge.answers.publisher")


@dataclass
class Publisher:
    """Publishes what the store has and the forge has not; `bot` is the login of the bot."""

    gitea: Gitea
    store: Store
    links: Links
    bot: str
    _due: dict[Hashable, float] = field(default_factory=dict)
    _backoff: dict[Hashable, Backoff] = field(default_factory=dict)
    _edited: dict[tuple[str, int, str], float] = field(default_factory=dict)
    _tried: set[Hashable] = field(default_factory=set)

    def step(self) -> float:
        """Publish everything that is due; return the seconds until more is due."""
        store, runs = self.store, self.store.unpublished()
        self._tried = set()
        for reaction in store.pending_reactions():
            give_up = partial(store.finish_reaction, reaction)
            self._try(("reaction", reaction.comment), partial(self._react, reaction), give_up)
        for run in runs:
            give_up = partial(self._skip_status, run)
            self._try(("status", run.id), partial(self._set_status, run), give_up)
        for run in runs:
            give_up = partial(self._finish, run)
            self._try(("comment", run.id), partial(self._update_comment, run.id), give_up)
        for reply in store.pending_replies():
            give_up = partial(store.finish_reply, reply)
            self._try(("reply", reply.comment), partial(self._post_reply, reply), give_up)
        self._due = {key: at for key, at in self._due.items() if key in self._tried}
        return max(0.0, min(self._due.values(), default=float("inf")) - time.monotonic())

    def _try(self, key: Hashable, publish: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Publish one item unless it has to wait; give it up if the forge will never accept it."""
        self._tried.add(key)
        if self._due.get(key, 0.0) > time.monotonic():
            return
        self._due.pop(key, None)
        try:
            publish()
        except CallError as error:
            backoff = self._backoff.setdefault(key, Backoff())
            pause = backoff.failed(error)
            permanent = not error.transient and error.kind not in ("denied", "missing")
            if permanent or (error.status in UNSURE and backoff.failures >= MAX_UNSURE_TRIES):
                log.error("giving up: %s", error)
                self._backoff.pop(key)
                give_up()
                return
            log.warning("%s; retrying in %.0f s", error, pause)
            self._due[key] = time.monotonic() + pause
        else:
            self._backoff.pop(key, None)

    # -- reactions and replies

    def _react(self, reaction: Reaction) -> None:
        self.gitea.react(reaction.repo, reaction.comment, reaction.content)
        self.store.finish_reaction(reaction)

    def _post_reply(self, reply: Reply) -> None:
        marker = sticky_comment.reply_marker(reply.comment)
        posted = self._find(reply.repo, reply.pr, marker) if reply.tried else None
        if posted is None:
            self.store.begin_reply(reply)
            self.gitea.post(reply.repo, reply.pr, f"{marker}\n{reply.body}\n")
        self.store.finish_reply(reply)

    def _find(self, repo: str, pr: int, marker: str) -> int | None:
        """Return the id of the bot's own comment that starts with a marker, None if there is none."""
        for comment in self.gitea.comments_on(repo, pr):
            if comment.author.lower() == self.bot.lower() and comment.body.startswith(marker):
                return comment.id
        return None

    # -- commit statuses

    def _set_status(self, run: Run) -> None:
        """Set the commit status if it has changed."""
        state, description = self._wanted_status(run)
        wanted = f"{state}: {description}"
        if run.published in (wanted, PUBLISHED) or self._is_superseded(run):
            return
        link = self.links.build(run) or self.links.builds
        context = CONTEXTS[run.lane]
        self.gitea.set_status(
            run.repo, run.sha, state=state, context=context, description=description, link=link
        )
        if not run.published:
            metrics.ACKNOWLEDGED.observe(max(0.0, time.time() - run.accepted))
        self.store.update(run, published=wanted)

    @staticmethod
    def _wanted_status(run: Run) -> tuple[StatusState, str]:
        return (run.result.state if run.result else "pending"), sticky_comment.state_words(run)

    def _is_superseded(self, run: Run) -> bool:
        """Return True if a newer run reports on the same commit in the same context."""
        latest = self.store.history(run.repo, run.pr, run.lane)
        return any(other.id > run.id and other.sha == run.sha for other in latest)

    def _skip_status(self, run: Run) -> None:
        """Continue without a status: the bot may lack write permission. The comment has the result."""
        state, description = self._wanted_status(run)
        self.store.update(run, published=f"{state}: {description}")

    # -- the sticky comment

    def _update_comment(self, number: int) -> None:
        """Update the comment if this is the latest run of the pull request; then finish a done run."""
        run = self.store.run(number)
        latest, *earlier = self.store.history(run.repo, run.pr, run.lane)
        if latest.id == run.id and not self._write_comment(run, earlier):
            return
        state, description = self._wanted_status(run)
        status_is_set = run.published == f"{state}: {description}"
        if not run.active and (status_is_set or self._is_superseded(run)):
            self._finish(run)

    def _write_comment(self, run: Run, earlier: list[Run]) -> bool:
        """Post or edit the comment; return False if it has to wait for the next edit."""
        key = (run.repo, run.pr, run.lane)
        body = sticky_comment.render(run, earlier, self.links)
        known = self.store.sticky_comment(*key)
        if known is not None and known.body == body:
            return True
        wait = self._edited.get(key, 0.0) + MIN_EDIT_INTERVAL - time.monotonic()
        if known is not None and run.active and wait > 0:
            self._due["comment", run.id] = time.monotonic() + wait
            return False
        marker = sticky_comment.marker(run.lane)
        number = known.id if known else self._find(run.repo, run.pr, marker)
        if number is None:
            number = self.gitea.post(run.repo, run.pr, body)
        else:
            self._edit(run, number, body)
        self.store.remember_sticky_comment(*key, StickyComment(number, body))
        self._edited[key] = time.monotonic()
        return True

    def _edit(self, run: Run, number: int, body: str) -> None:
        try:
            self.gitea.edit(run.repo, number, body)
        except CallError as error:
            if error.kind == "missing":  # somebody deleted it; the next try posts a new one
                self.store.forget_sticky_comment(run.repo, run.pr, run.lane)
                raise CallError("server", f"{error}; posting a new comment") from error
            raise

    def _finish(self, run: Run) -> None:
        """Record that everything about a run is published, if it is done."""
        if not run.active:
            self.store.update(run, published=PUBLISHED)
