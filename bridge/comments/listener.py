"""Finds commands in comments. Only the forge's own list counts; the webhook just says where to look."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge import metrics
from bridge.clients.gitea import Comment, Gitea
from bridge.clients.http import Backoff, CallError
from bridge.comments import guards
from bridge.comments.grammar import parse_command
from bridge.comments.guards import Guards
from bridge.model import CommandComment, Enrolment
from bridge.store import Store

MIN_SCAN_INTERVAL = (
    30.0  # seconds between scans because of rejected requests, which anyone can send
)
MISSING_PAUSE = 30.0  # seconds; a recipe may have no repository
OVERLAP = timedelta(seconds=10)  # a comment may become visible after a newer one
MAX_HEADS = 1000  # heads of pull requests that are remembered
MAX_UNENROLLED = 1000  # comments in repositories that are not enrolled
log = logging.getLogger("bridge.comments.listener")


@dataclass
class Listener:
    """Polls the enrolled repositories periodically, and on webhook events.

    Attributes:
        gitea: the client of the forge.
        store: the persistent state.
        guards: the rules of the organisation.
        poll: seconds between two scans of all repositories, 0 for one scan at the start only.
        on_command: called when there is something new to decide on.
        last_success: when a repository was last read, in seconds of the monotonic clock.
    """

    gitea: Gitea
    store: Store
    guards: Guards
    poll: float
    on_command: Callable[[], None]
    last_success: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[str, float] = {}
        self._unenrolled: set[tuple[str, int]] = set()
        self._heads: dict[int, str] = {}
        self._backoff: dict[str, Backoff] = {}
        self._next_scan = 0.0
        self._last_scan = 0.0

    def request_read(self, repo: str, comment: int, head: str = "") -> None:
        """Read a repository in the next step; of one that is not enrolled, only the comment.

        Args:
            repo: owner/name.
            comment: id of the new comment.
            head: commit at the head of the pull request when the comment was written, "" if unknown; a
                push may come before the next step.
        """
        with self._lock:
            if head:
                self._heads[comment] = head
                if len(self._heads) > MAX_HEADS:  # most comments hold no command
                    self._heads.pop(next(iter(self._heads)))
            if repo.partition("/")[2] in self.guards.enrolled():
                self._due[repo] = 0.0
            elif len(self._unenrolled) < MAX_UNENROLLED:
                self._unenrolled.add((repo, comment))

    def request_scan(self) -> None:
        """Read all repositories soon, since a webhook event may have been lost; not too often."""
        with self._lock:
            self._next_scan = min(self._next_scan, self._last_scan + MIN_SCAN_INTERVAL)

    def step(self) -> float:
        """Read all repositories that are due; return the seconds until the next one is due."""
        now = time.monotonic()
        if now >= self._next_scan:
            self._schedule_all(now)
        with self._lock:
            due = [repo for repo, at in self._due.items() if at <= now]
        for repo in due:
            self._try(repo)
        self._read_unenrolled()
        with self._lock:
            times = [self._next_scan, *self._due.values()]
        return max(0.0, min(times) - time.monotonic())

    def _schedule_all(self, now: float) -> None:
        with self._lock:
            self._last_scan = now
            self._next_scan = now + self.poll if self.poll else float("inf")
            for recipe in sorted(self.guards.enrolled()):
                self._due.setdefault(f"{self.guards.org}/{recipe}", 0.0)

    def _try(self, repo: str) -> None:
        """Read one repository; if that fails, schedule a retry."""
        with self._lock:
            self._due.pop(
                repo, None
            )  # before reading: a request during it has to cause another reading
        backoff = self._backoff.setdefault(repo, Backoff())
        try:
            self._read(repo)
        except CallError as error:
            gone = (
                error.kind == "missing"
            )  # probably a recipe without a repository; 404 does not prove it
            pause = max(backoff.failed(error), MISSING_PAUSE if gone else 0.0)
            level = logging.INFO if gone else logging.WARNING
            log.log(level, "%s; retrying in %.0f s", error, pause)
            with self._lock:
                self._due.setdefault(repo, time.monotonic() + pause)
            return
        backoff.success()
        self.last_success = time.monotonic()

    def _read(self, repo: str) -> None:
        enrolment = self.store.enrolment(repo)
        if enrolment is None:
            now = self.gitea.now()
            self.store.enrol(repo, now)
            enrolment = Enrolment(now, now)
        comments = list(self.gitea.comments(repo, enrolment.since))
        fresh = [c for c in comments if guards.is_fresh(c, enrolment.enrolled)]
        newest = max((comment.updated for comment in comments), default=None)
        self._record(repo, fresh, newest)

    def _record(self, repo: str, comments: list[Comment], newest: datetime | None) -> None:
        since = newest - OVERLAP if newest is not None else None
        commands = [found for comment in comments if (found := self._command(comment))]
        new = self.store.record_comments(repo, commands, since)
        for item in new:
            metrics.COMMENTS.labels(item.command.value).inc()
            log.info("command %s on %s#%d, comment %d", item.command, repo, item.pr, item.id)
        if new:
            self.on_command()

    def _command(self, comment: Comment) -> CommandComment | None:
        command = parse_command(comment.body)
        if command is None or comment.pr is None or self.guards.is_bot(comment.author):
            return None
        created = comment.created.timestamp()
        with self._lock:
            head = self._heads.pop(comment.id, "")
        return CommandComment(
            comment.id, comment.repo, comment.pr, comment.author, command, created, head
        )

    def _read_unenrolled(self) -> None:
        """Read comments in repositories that are not enrolled, so that their authors get a reply."""
        with self._lock:
            waiting, self._unenrolled = sorted(self._unenrolled), set()
        for repo, number in waiting:
            try:
                comment = self.gitea.comment(repo, number)
            except CallError as error:
                log.warning("%s", error)
                continue
            if comment is not None and comment.updated <= comment.created:
                self._record(repo, [comment], None)
