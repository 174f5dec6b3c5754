"""Hears comments. The forge's list is the only truth; the webhook only says when to look."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge import metrics
from bridge.clients.gitea import Comment, Gitea
from bridge.clients.http import Backoff, CallError
from bridge.comments import guards
from bridge.comments.grammar import parse_command
from bridge.comments.guards import Guards
from bridge.store import Spoken, Store

LOOK_AGAIN = 30.0  # seconds between two looks everywhere that strangers can cause
OVERLAP = timedelta(seconds=10)  # a comment may become visible after one that is newer
HEADS_KEPT = 1000
log = logging.getLogger("bridge.comments.listener")


@dataclass
class Listener:
    """Looks at the enrolled repositories, on the hour of the poll and whenever it is told to.

    poll: seconds between two looks at all of them, 0 for one at the start only. heard: called when
    there is something new to decide.
    """

    gitea: Gitea
    store: Store
    guards: Guards
    poll: float
    heard: Callable[[], None]
    stirred: threading.Event = field(default_factory=threading.Event)
    last_look: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._strange: set[tuple[str, int]] = set()
        self._heads: dict[int, str] = {}
        self._backoff: dict[str, Backoff] = {}
        self._next_poll = 0.0
        self._polled = 0.0

    def look(self, repo: str, comment: int | None = None, head: str = "") -> None:
        """Look at a repository soon; at one comment of it where the repository is not enrolled.

        head: of the pull request when the comment was written; a push may come before we look.
        """
        with self._lock:
            if comment is not None and head:
                self._heads[comment] = head
                if len(self._heads) > HEADS_KEPT:  # most comments are none of ours
                    self._heads.pop(next(iter(self._heads)))
            if repo.partition("/")[2] in self.guards.enrolled():
                self._due[repo] = 0.0
            elif comment is not None and len(self._strange) < 1000:
                self._strange.add((repo, comment))
        self.stirred.set()

    def look_everywhere(self) -> None:
        """Look at every repository soon, since something may have been said unheard; not too often."""
        with self._lock:
            self._next_poll = min(self._next_poll, self._polled + LOOK_AGAIN)
        self.stirred.set()

    def step(self) -> float:
        """Look at whatever is due; return the seconds until something is due again."""
        self.stirred.clear()
        now = time.monotonic()
        if now >= self._next_poll:
            self._all_due(now)
        for repo in [repo for repo, at in self._due.items() if at <= now]:
            self._try(repo)
        self._look_at_strange()
        with self._lock:
            times = [self._next_poll, *self._due.values()]
        return max(0.0, min(times) - time.monotonic())

    def _all_due(self, now: float) -> None:
        with self._lock:
            self._polled = now
            self._next_poll = now + self.poll if self.poll else float("inf")
            for recipe in sorted(self.guards.enrolled()):
                self._due.setdefault(f"{self.guards.org}/{recipe}", 0.0)

    def _try(self, repo: str) -> None:
        """Look at one repository; where that fails, later again."""
        with self._lock:
            self._due.pop(repo, None)  # before the look: who asks from now on asks for another one
        backoff = self._backoff.setdefault(repo, Backoff())
        try:
            self._look(repo)
        except CallError as error:
            gone = error.kind == "missing"  # a recipe without a repository; and 404 is no proof
            pause = max(backoff.failed(error), 30.0 if gone else 0.0)
            log.log(logging.INFO if gone else logging.WARNING, "%s; again in %.0f s", error, pause)
            with self._lock:
                self._due.setdefault(repo, time.monotonic() + pause)
            return
        backoff.success()
        self.last_look = time.monotonic()

    def _look(self, repo: str) -> None:
        times = self.store.enrolled(repo)
        if times is None:
            now = self.gitea.now()
            self.store.enrol(repo, now)
            times = (now, now)
        enrolled, since = times
        comments = list(self.gitea.comments(repo, since))
        spoken = [s for c in comments if guards.is_fresh(c, enrolled) and (s := self._spoken(c))]
        newest = max((comment.updated for comment in comments), default=None)
        self._keep(repo, spoken, newest)

    def _keep(self, repo: str, spoken: list[Spoken], newest: datetime | None) -> None:
        since = newest - OVERLAP if newest is not None else None
        new = self.store.heard(repo, spoken, since)
        for item in new:
            metrics.COMMENTS.labels(item.command.value).inc()
            log.info("heard %s on %s#%d, comment %d", item.command, repo, item.pr, item.id)
        if new:
            self.heard()

    def _spoken(self, comment: Comment) -> Spoken | None:
        command = parse_command(comment.body)
        if command is None or comment.pr is None or self.guards.is_ours(comment.person):
            return None
        created = comment.created.timestamp()
        with self._lock:
            head = self._heads.pop(comment.id, "")
        return Spoken(comment.id, comment.repo, comment.pr, comment.person, command, created, head)

    def _look_at_strange(self) -> None:
        """Hear a comment on a repository that is not enrolled, to tell its author so."""
        with self._lock:
            strange, self._strange = sorted(self._strange), set()
        for repo, number in strange:
            try:
                comment = self.gitea.comment(repo, number)
            except CallError as error:
                log.warning("%s", error)
                continue
            if comment is not None and comment.updated <= comment.created:
                spoken = self._spoken(comment)
                self._keep(repo, [spoken] if spoken else [], None)
