"""What the bridge has to know after any death: SQLite, one transaction for each decision."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from bridge.comments.grammar import Command

RunState = Literal["accepted", "queued", "running", "done"]
Lane = Literal["cold", "quick"]

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


@dataclass(frozen=True, slots=True)
class Spoken:
    """A comment that speaks to us.

    created: unix seconds of the forge's clock. head: the pull request's head when it was written, ""
    where only the webhook could have said it and did not.
    """

    id: int
    repo: str
    pr: int
    person: str
    command: Command
    created: float
    head: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One wish for a run and what became of it. Times are unix seconds of our clock.

    newest: number of Drone's newest build before ours was asked for, None before that. cancel: why it
    is to end, "" while it may go on. note: what the reader should know while it waits. progress and
    verdict: what the build's log told, as JSON texts. status: the commit status that was set last.
    """

    id: int
    repo: str
    pr: int
    lane: Lane
    recipe: str
    sha: str
    person: str
    comment: int
    accepted: float
    state: RunState = "accepted"
    attempt: int = 1
    newest: int | None = None
    build: int | None = None
    place: int = 0
    cancel: str = ""
    note: str = ""
    progress: str = "{}"
    verdict: str = ""
    ended: float = 0.0
    status: str = ""

    @property
    def active(self) -> bool:
        """Whether it has no verdict yet."""
        return self.state != "done"

    def told(self) -> dict[str, Any]:
        """Return what its build's log told so far."""
        found = json.loads(self.progress)
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Answer:
    """A short answer to one comment, posted once."""

    comment: int
    repo: str
    pr: int
    body: str
    tried: bool


@dataclass(frozen=True, slots=True)
class Outbox:
    """What one decision adds, written together with it."""

    run: Run | None = None
    reaction: str = ""
    answer: tuple[str, str] = ("", "")  # kind, text
    cancel: dict[int, str] = field(default_factory=dict)


COLUMNS = tuple(f.name for f in fields(Run))


class Store:
    """The state's file; any thread may use it, each call is one transaction."""

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

    def _all(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    # -- repositories and comments

    def enrolled(self, repo: str) -> tuple[datetime, datetime] | None:
        """Return since when a repository is enrolled and from when on to look, None for an unknown one."""
        rows = self._all("SELECT enrolled, since FROM repos WHERE name = ?", repo)
        return (_moment(rows[0]["enrolled"]), _moment(rows[0]["since"])) if rows else None

    def enrol(self, repo: str, now: datetime) -> None:
        """Enrol a repository; comments that are older will never count."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO repos VALUES (?, ?, ?)",
                (repo, now.timestamp(), now.timestamp()),
            )

    def heard(self, repo: str, spoken: list[Spoken], since: datetime | None) -> list[Spoken]:
        """Keep comments that speak to us, and from when on to look next; return those that are new."""
        new = []
        with self._transaction() as db:
            for s in spoken:
                row = (s.id, s.repo, s.pr, s.person, s.command.value, s.created, s.head)
                cursor = db.execute(
                    "INSERT OR IGNORE INTO comments VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row
                )
                new += [s] if cursor.rowcount else []
            if since is not None:
                db.execute(
                    "UPDATE repos SET since = MAX(since, ?) WHERE name = ?",
                    (since.timestamp(), repo),
                )
        return new

    def undecided(self) -> list[Spoken]:
        """Return the comments that nothing was decided on, oldest first."""
        rows = self._all("SELECT * FROM comments WHERE decision IS NULL ORDER BY id")
        return [_spoken(row) for row in rows]

    def decide(self, spoken: Spoken, decision: str, out: Outbox) -> Run | None:
        """Write a decision on a comment with all that follows from it; return the new run, if any."""
        made = None
        with self._transaction() as db:
            db.execute("UPDATE comments SET decision = ? WHERE id = ?", (decision, spoken.id))
            for run, why in out.cancel.items():
                db.execute("UPDATE runs SET cancel = ? WHERE id = ? AND cancel = ''", (why, run))
            if out.run is not None:
                made = self._insert(db, out.run)
            if out.reaction:
                row = (spoken.id, spoken.repo, out.reaction)
                db.execute("INSERT OR IGNORE INTO reactions VALUES (?, ?, ?, 0)", row)
            kind, text = out.answer
            if text:
                values = (spoken.id, spoken.repo, spoken.pr, spoken.person, kind, text, time.time())
                db.execute(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0)", values
                )
        return made

    def answered(self, repo: str, pr: int, person: str, kind: str, *, within: float) -> bool:
        """Say whether a person got this kind of answer on a pull request within so many seconds."""
        rows = self._all(
            "SELECT 1 FROM answers WHERE repo = ? AND pr = ? AND person = ? AND kind = ? AND made > ?",
            *(repo, pr, person, kind, time.time() - within),
        )
        return bool(rows)

    # -- runs

    @staticmethod
    def _insert(db: sqlite3.Connection, run: Run) -> Run:
        values = {name: getattr(run, name) for name in COLUMNS if name != "id"}
        marks = ", ".join("?" * len(values))
        query = f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - our own names
        return replace(run, id=int(db.execute(query, tuple(values.values())).lastrowid or 0))

    def run(self, number: int) -> Run:
        """Return a run by its id."""
        return _run(self._all("SELECT * FROM runs WHERE id = ?", number)[0])

    def active(self, repo: str | None = None, pr: int | None = None) -> list[Run]:
        """Return the runs without a verdict, oldest first; all, or those of one pull request."""
        rows = self._all("SELECT * FROM runs WHERE state != 'done' ORDER BY id")
        runs = [_run(row) for row in rows]
        return [r for r in runs if (repo is None or r.repo == repo) and (pr is None or r.pr == pr)]

    def unpublished(self) -> list[Run]:
        """Return the runs that the forge has not heard everything of, oldest first."""
        rows = self._all("SELECT * FROM runs WHERE state != 'done' OR status != 'told' ORDER BY id")
        return [_run(row) for row in rows]

    def history(self, repo: str, pr: int, lane: str, limit: int = 10) -> list[Run]:
        """Return the newest runs of a pull request in a lane, newest first."""
        rows = self._all(
            "SELECT * FROM runs WHERE repo = ? AND pr = ? AND lane = ? ORDER BY id DESC LIMIT ?",
            *(repo, pr, lane, limit),
        )
        return [_run(row) for row in rows]

    def builds(self) -> frozenset[int]:
        """Return the numbers of all builds that belong to a run."""
        rows = self._all("SELECT build FROM runs WHERE build IS NOT NULL")
        return frozenset(row["build"] for row in rows)

    def change(self, run: Run, **values: object) -> Run:
        """Change columns of a run; return it as it now is."""
        names = ", ".join(f"{name} = ?" for name in values)
        assert set(values) <= set(COLUMNS) - {"id"}
        with self._transaction() as db:
            query = f"UPDATE runs SET {names} WHERE id = ?"  # noqa: S608 - our own names
            db.execute(query, (*values.values(), run.id))
        return self.run(run.id)

    def ask_cancel(self, run: Run, why: str) -> None:
        """Note why a run is to end; the first reason stays."""
        with self._transaction() as db:
            query = "UPDATE runs SET cancel = ? WHERE id = ? AND cancel = '' AND state != 'done'"
            db.execute(query, (why, run.id))

    # -- what is still to be said

    def reactions(self) -> list[tuple[int, str, str]]:
        """Return (comment, repository, reaction) of those not yet made."""
        rows = self._all("SELECT * FROM reactions WHERE done = 0 ORDER BY comment")
        return [(row["comment"], row["repo"], row["content"]) for row in rows]

    def reacted(self, comment: int) -> None:
        """Note that a reaction is made, or can never be."""
        with self._transaction() as db:
            db.execute("UPDATE reactions SET done = 1 WHERE comment = ?", (comment,))

    def answers(self) -> list[Answer]:
        """Return the answers not yet posted, oldest first."""
        rows = self._all("SELECT * FROM answers WHERE done = 0 ORDER BY comment")
        return [
            Answer(row["comment"], row["repo"], row["pr"], row["body"], bool(row["tried"]))
            for row in rows
        ]

    def trying(self, answer: Answer) -> None:
        """Note, before the call, that an answer is being posted."""
        with self._transaction() as db:
            db.execute("UPDATE answers SET tried = 1 WHERE comment = ?", (answer.comment,))

    def said(self, answer: Answer) -> None:
        """Note that an answer is posted, or can never be."""
        with self._transaction() as db:
            db.execute("UPDATE answers SET done = 1 WHERE comment = ?", (answer.comment,))

    def living(self, repo: str, pr: int, lane: str) -> tuple[int, str] | None:
        """Return the id and text of the comment that is edited from run to run, None before it."""
        query = "SELECT comment, body FROM living WHERE repo = ? AND pr = ? AND lane = ?"
        rows = self._all(query, repo, pr, lane)
        return (rows[0]["comment"], rows[0]["body"]) if rows else None

    def lives(self, repo: str, pr: int, lane: str, comment: int, body: str) -> None:
        """Keep the id and text of that comment."""
        with self._transaction() as db:
            values = (repo, pr, lane, comment, body)
            db.execute("INSERT OR REPLACE INTO living VALUES (?, ?, ?, ?, ?)", values)

    def died(self, repo: str, pr: int, lane: str) -> None:
        """Forget that comment: somebody deleted it."""
        with self._transaction() as db:
            query = "DELETE FROM living WHERE repo = ? AND pr = ? AND lane = ?"
            db.execute(query, (repo, pr, lane))


def _run(row: sqlite3.Row) -> Run:
    return Run(**{name: row[name] for name in COLUMNS})


def _spoken(row: sqlite3.Row) -> Spoken:
    return Spoken(
        row["id"],
        row["repo"],
        row["pr"],
        row["person"],
        Command(row["command"]),
        row["created"],
        row["head"],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
