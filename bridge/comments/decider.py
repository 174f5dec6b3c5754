"""Decides on what was heard, one comment after the other; what cannot be decided now is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bridge import metrics
from bridge.answers import messages
from bridge.bridge import Desk, process_testme
from bridge.clients.gitea import NotAMember
from bridge.clients.http import Backoff, CallError
from bridge.store import Outbox, Spoken

EXPIRED = 86_400.0  # seconds; who waited for a day has given up
log = logging.getLogger("bridge.comments.decider")


@dataclass
class Decider:
    """Works off the comments that nothing was decided on. decided: called after each decision."""

    desk: Desk
    decided: Callable[[], None]
    _due: dict[int, float] = field(default_factory=dict)
    _backoff: dict[int, Backoff] = field(default_factory=dict)

    def step(self) -> float:
        """Decide whatever is due; return the seconds until something is due again."""
        waiting = self.desk.store.undecided()
        for spoken in waiting:
            if self._due.get(spoken.id, 0.0) <= time.monotonic():
                self._try(spoken)
        known = {spoken.id for spoken in waiting}
        self._due = {number: at for number, at in self._due.items() if number in known}
        return max(0.0, min(self._due.values(), default=float("inf")) - time.monotonic())

    def _try(self, spoken: Spoken) -> None:
        try:
            decision = process_testme(self.desk, spoken)
        except (CallError, NotAMember) as error:
            self._later(spoken, error)
            return
        self._due.pop(spoken.id, None)
        self._backoff.pop(spoken.id, None)
        log.info("comment %d on %s#%d: %s", spoken.id, spoken.repo, spoken.pr, decision)
        self.decided()

    def _later(self, spoken: Spoken, error: CallError | NotAMember) -> None:
        if isinstance(error, NotAMember):
            metrics.ERRORS.labels("the forge", "not-a-member").inc()
            log.error(messages.NOT_A_MEMBER, error)
        if time.time() - spoken.created > EXPIRED:
            self._due.pop(spoken.id, None)
            self.desk.store.decide(spoken, "expired", Outbox())
            log.error("comment %d waited for a day and is given up: %s", spoken.id, error)
            return
        backoff = self._backoff.setdefault(spoken.id, Backoff())
        pause = backoff.failed(error if isinstance(error, CallError) else None)
        log.warning("comment %d is decided later, in %.0f s: %s", spoken.id, pause, error)
        self._due[spoken.id] = time.monotonic() + pause
