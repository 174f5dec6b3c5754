"""Persistent state: builds and settings in SQLite, logs in files."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from sandbox.standins.drone.server.live_log import Entry
from sandbox.standins.drone.server.model import Build, build_from_fields

SCHEMA = """\
CREATE TABLE IF NOT EXISTS build (id INTEGER PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS timeout (repo TEXT PRIMARY KEY, minutes REAL NOT NULL);
CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class Store:
    """The data folder of one stand-in; safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(
            folder / "builds.sqlite", isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(SCHEMA)

    def builds(self) -> list[Build]:
        """Return every build, oldest first."""
        with self._lock:
            rows = self._database.execute("SELECT document FROM build ORDER BY id").fetchall()
        return [build_from_fields(json.loads(document)) for (document,) in rows]

    def save(self, build: Build) -> None:
        """Save a build as it is now."""
        row = (build.id, json.dumps(asdict(build)))
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO build VALUES (?, ?)", row)

    def next(self, name: str) -> int:
        """Return the next number of a series, starting with 1."""
        with self._lock:
            rows = self._database.execute(
                "INSERT INTO number VALUES (?, 1)"
                " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value",
                (name,),
            ).fetchall()
        return int(rows[0][0])

    def timeout(self, repo: str) -> float | None:
        """Return the timeout in minutes that a request has set, None without one."""
        with self._lock:
            query = "SELECT minutes FROM timeout WHERE repo = ?"
            row = self._database.execute(query, (repo,)).fetchone()
        return float(row[0]) if row else None

    def set_timeout(self, repo: str, minutes: float) -> None:
        """Save a repository's timeout in minutes."""
        with self._lock:
            self._database.execute("INSERT OR REPLACE INTO timeout VALUES (?, ?)", (repo, minutes))

    def save_log(self, step_id: int, entries: Sequence[Entry]) -> None:
        """Save the log of a finished step."""
        path = self._path(step_id)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps([entry.json() for entry in entries]))
        os.replace(temporary, path)

    def log(self, step_id: int) -> str | None:
        """Return the stored log as JSON text, None if there is none yet."""
        try:
            return self._path(step_id).read_text()
        except FileNotFoundError:
            return None

    def _path(self, step_id: int) -> Path:
        return self._logs / f"{step_id}.json"
