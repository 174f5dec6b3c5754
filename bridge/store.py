"""Persistent state in SQLite; each decision is one transaction, so the bridge may be killed at any time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bridge import rows
from bridge.model import CommandComment, Enrolment, Outbox, Reaction, Reply, Run, StickyComment

# Names of tables and columns are fixed, since a database outlives the version that made it: `living` holds
# the sticky comments, `answers` the replies; `rows.RUN_COLUMNS` maps columns of `runs`.
SCHEMA = """
CREATE TABLE IF NOT EXISTS repos (name TEXT PRIMARY KEY, enrolled REAL NOT NULL, since REAL NOT NULL);
CREATE TABLE IF NOT EXISTS comments (
  id INTEGER PRIMARY KEY, repo TEXT NOT NULL, pr INTEGER NOT NULL, person TEXT NOT NULL,
  command TEXT NOT NULL, created REAL NOT NULL, head TEXT NOT NULL, decision TEXT);
CREATE TABLE IF NOT EXISTS runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo TEXT NOT NULL, pr INTEGER NOT NULL, lane TEXT NOT NULL,
  recipe TEXT NOT NULL, sha TEXT NOT NULL, person TEXT NOT NULL, comment INTEGER NOT NULL,
  accepted REAL NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, newest INTEGER, build INTEGER,
  place INTEGER NOT NULL, cancel TEXT NOT NULL, note TEXT NOT NULL, progress TEXT NOT NULL,
  verdict TEXT NOT NULL, ended REAL NOT NULL, status TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS one_build_one_run ON runs (build) WHERE build IS NOT NULL;
CREATE TABLE IF NOT EXISTS reactions (comment INTEGER PRIMARY KEY, repo TEXT NOT NULL,
  content TEXT NOT NULL, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS living (repo TEXT, pr INTEGER, lane TEXT, comment INTEGER, body TEXT,
  PRIMARY KEY (repo, pr, lane));
CREATE TABLE IF NOT EXISTS answers (
  comment INTEGER PRIMARY KEY, repo TEXT NOT NULL, pr INTEGER NOT NULL, person TEXT NOT NULL,
  kind TEXT NOT NULL, body TEXT NOT NULL, made REAL NOT NULL, tried INTEGER NOT NULL, done INTEGER NOT NULL);
"""
PUBLISHED = "told"  # in the column `status`: everything about the run is at the forge


class Store:
    """The database file. Any thread may use it; each call is one transaction."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _select(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    # -- repositories and comments

    def enrolment(self, repo: str) -> Enrolment | None:
        """Return when a repository was enrolled and from when to read it next, None if it is unknown."""
        found = self._select("SELECT enrolled, since FROM repos WHERE name = ?", repo)
        if not found:
            return None
        enrolled, since = (datetime.fromtimestamp(seconds, UTC) for seconds in found[0])
        return Enrolment(enrolled, since)

    def enrol(self, repo: str, now: datetime) -> None:
        """Enrol a repository; comments that are older never count."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO repos VALUES (?, ?, ?)",
                (repo, now.timestamp(), now.timestamp()),
            )

    def record_comments(
        self, repo: str, comments: Sequence[CommandComment], since: datetime | None
    ) -> list[CommandComment]:
        """Store comments with commands, and from when to read the repository next.

        Args:
            repo: owner/name.
            comments: all comments found; those that are stored already are skipped.
            since: where to continue, None to leave it as it is.

        Returns:
            The comments that are new.
        """
        new = []
        with self._transaction() as db:
            for c in comments:
                row = (c.id, c.repo, c.pr, c.author, c.command.value, c.created, c.head)
                cursor = db.execute(
                    "INSERT OR IGNORE INTO comments VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row
                )
                new += [c] if cursor.rowcount else []
            if since is not None:
                db.execute(
                    "UPDATE repos SET since = MAX(since, ?) WHERE name = ?",
                    (since.timestamp(), repo),
                )
        return new

    def undecided(self) -> list[CommandComment]:
        """Return the comments without a decision, oldest first."""
        found = self._select("SELECT * FROM comments WHERE decision IS NULL ORDER BY id")
        return [rows.command_comment(row) for row in found]

    def decide(self, comment: CommandComment, decision: str, out: Outbox) -> Run | None:
        """Store the decision on a comment together with all it adds; return the new run, if any."""
        made = None
        with self._transaction() as db:
            db.execute("UPDATE comments SET decision = ? WHERE id = ?", (decision, comment.id))
            for number, reason in out.cancel.items():
                query = "UPDATE runs SET cancel = ? WHERE id = ? AND cancel = ''"
                db.execute(query, (reason, number))
            if out.run is not None:
                made = self._insert(db, out.run)
            if out.reaction:
                row = (comment.id, comment.repo, out.reaction)
                db.execute("INSERT OR IGNORE INTO reactions VALUES (?, ?, ?, 0)", row)
            kind, text = out.reply
            if text:
                values = (comment.id, comment.repo, comment.pr, comment.author, kind, text)
                db.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)",
                    (*values, time.time()),
                )
        return made

    def has_reply(self, comment: CommandComment, kind: str, *, within: float) -> bool:
        """Return True if the author got a reply of this kind on this pull request.

        Args:
            comment: its author and pull request are meant.
            kind: the kind of reply.
            within: how far back to look, in seconds.
        """
        return bool(
            self._select(
                "SELECT 1 FROM answers WHERE repo = ? AND pr = ? AND person = ? AND kind = ? AND made > ?",
                *(comment.repo, comment.pr, comment.author, kind, time.time() - within),
            )
        )

    # -- runs

    @staticmethod
    def _insert(db: sqlite3.Connection, run: Run) -> Run:
        values = rows.run_values(run)
        marks = ", ".join("?" * len(values))
        query = f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - our own names
        return replace(run, id=int(db.execute(query, tuple(values.values())).lastrowid or 0))

    def run(self, number: int) -> Run:
        """Return a run by its id."""
        return rows.run(self._select("SELECT * FROM runs WHERE id = ?", number)[0])

    def active(self, repo: str | None = None, pr: int | None = None) -> list[Run]:
        """Return the runs without a result, oldest first; all, or those of one pull request."""
        found = self._select("SELECT * FROM runs WHERE state != 'done' ORDER BY id")
        runs = [rows.run(row) for row in found]
        return [r for r in runs if (repo is None or r.repo == repo) and (pr is None or r.pr == pr)]

    def unpublished(self) -> list[Run]:
        """Return the runs with something left to publish at the forge, oldest first."""
        query = "SELECT * FROM runs WHERE state != 'done' OR status != ? ORDER BY id"
        return [rows.run(row) for row in self._select(query, PUBLISHED)]

    def history(self, repo: str, pr: int, lane: str, limit: int = 10) -> list[Run]:
        """Return the latest runs of a pull request in a lane, latest first."""
        found = self._select(
            "SELECT * FROM runs WHERE repo = ? AND pr = ? AND lane = ? ORDER BY id DESC LIMIT ?",
            *(repo, pr, lane, limit),
        )
        return [rows.run(row) for row in found]

    def builds(self) -> frozenset[int]:
        """Return the numbers of all builds that belong to a run."""
        found = self._select("SELECT build FROM runs WHERE build IS NOT NULL")
        return frozenset(row["build"] for row in found)

    def update(self, run: Run, **values: object) -> Run:
        """Change attributes of a run; return the run as stored then."""
        columns = rows.run_columns(values)
        assignments = ", ".join(f"{name} = ?" for name in columns)
        assert set(values) <= set(rows.RUN_ATTRIBUTES) - {"id"}
        with self._transaction() as db:
            query = f"UPDATE runs SET {assignments} WHERE id = ?"  # noqa: S608 - our own names
            db.execute(query, (*columns.values(), run.id))
        return self.run(run.id)

    def request_cancel(self, run: Run, reason: str) -> None:
        """Store why a run has to stop; the first reason stays."""
        with self._transaction() as db:
            query = "UPDATE runs SET cancel = ? WHERE id = ? AND cancel = '' AND state != 'done'"
            db.execute(query, (reason, run.id))

    # -- what is left to publish

    def pending_reactions(self) -> list[Reaction]:
        """Return the reactions not made yet."""
        found = self._select("SELECT * FROM reactions WHERE done = 0 ORDER BY comment")
        return [Reaction(row["comment"], row["repo"], row["content"]) for row in found]

    def finish_reaction(self, reaction: Reaction) -> None:
        """Record that a reaction was made or given up."""
        with self._transaction() as db:
            db.execute("UPDATE reactions SET done = 1 WHERE comment = ?", (reaction.comment,))

    def pending_replies(self) -> list[Reply]:
        """Return the replies not posted yet, oldest first."""
        found = self._select("SELECT * FROM answers WHERE done = 0 ORDER BY comment")
        return [rows.reply(row) for row in found]

    def begin_reply(self, reply: Reply) -> None:
        """Record, before the call, that a reply is about to be posted."""
        with self._transaction() as db:
            db.execute("UPDATE answers SET tried = 1 WHERE comment = ?", (reply.comment,))

    def finish_reply(self, reply: Reply) -> None:
        """Record that a reply was posted or given up."""
        with self._transaction() as db:
            db.execute("UPDATE answers SET done = 1 WHERE comment = ?", (reply.comment,))

    def sticky_comment(self, repo: str, pr: int, lane: str) -> StickyComment | None:
        """Return the comment that is edited from run to run, None before the first one."""
        query = "SELECT comment, body FROM living WHERE repo = ? AND pr = ? AND lane = ?"
        found = self._select(query, repo, pr, lane)
        return StickyComment(found[0]["comment"], found[0]["body"]) if found else None

    def remember_sticky_comment(
        self, repo: str, pr: int, lane: str, comment: StickyComment
    ) -> None:
        """Store id and text of that comment."""
        with self._transaction() as db:
            values = (repo, pr, lane, comment.id, comment.body)
            db.execute("INSERT OR REPLACE INTO living VALUES (?, ?, ?, ?, ?)", values)

    def forget_sticky_comment(self, repo: str, pr: int, lane: str) -> None:
        """Forget that comment, which somebody deleted."""
        with self._transaction() as db:
            query = "DELETE FROM living WHERE repo = ? AND pr = ? AND lane = ?"
            db.execute(query, (repo, pr, lane))
