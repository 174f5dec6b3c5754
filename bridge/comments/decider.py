"""Decides on commands in comments one by one, and retries those that cannot be decided now."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge import metrics
from bridge.answers import messages
from bridge.bridge import Context, process_testme
from bridge.clients.gitea import NotAMember
from bridge.clients.http import Backoff, CallError
from bridge.model import CommandComment, Outbox

MAX_AGE = 86_400.0  # seconds; after a day without a decision nobody waits for one
log = logging.getLogger("bridge.comments.decider")


@dataclass
class Decider:
    """Processes pending comments; calls `on_decision` after each decision."""

    context: Context
    on_decision: Callable[[], None]
    _due: dict[int, float] = field(default_factory=dict)
    _backoff: dict[int, Backoff] = field(default_factory=dict)

    def step(self) -> float:
        """Decide on all comments that are due; return the seconds until the next one is due."""
        pending = self.context.store.undecided()
        for comment in pending:
            if self._due.get(comment.id, 0.0) <= time.monotonic():
                self._try(comment)
        known = {comment.id for comment in pending}
        self._due = {number: at for number, at in self._due.items() if number in known}
        return max(0.0, min(self._due.values(), default=float("inf")) - time.monotonic())

    def _try(self, comment: CommandComment) -> None:
        try:
            decision = process_testme(self.context, comment)
        except (CallError, NotAMember) as error:
            self._retry_later(comment, error)
            return
        self._due.pop(comment.id, None)
        self._backoff.pop(comment.id, None)
        log.info("comment %d on %s#%d: %s", comment.id, comment.repo, comment.pr, decision)
        self.on_decision()

    def _retry_later(self, comment: CommandComment, error: CallError | NotAMember) -> None:
        if isinstance(error, NotAMember):
            metrics.ERRORS.labels("the forge", "not-a-member").inc()
            log.error(messages.NOT_A_MEMBER, error)
        if time.time() - comment.created > MAX_AGE:
            self._due.pop(comment.id, None)
            self.context.store.decide(comment, "expired", Outbox())
            log.error("comment %d: giving up after a day: %s", comment.id, error)
            return
        backoff = self._backoff.setdefault(comment.id, Backoff())
        pause = backoff.failed(error if isinstance(error, CallError) else None)
        log.warning("comment %d: retrying in %.0f s: %s", comment.id, pause, error)
        self._due[comment.id] = time.monotonic() + pause
