"""Check with restic that a snapshot contains what it should.

abra and the backup bot may both report success for a snapshot without the dump (incident B1), so
after each backup the bot's own restic lists the newest snapshot of the app. The format of
`restic snapshots --json` and `restic ls --json` is documented by restic and stable since 0.9.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InfraError, RecipeFailure
from harness.host import timestamps
from harness.swarm import engine

BOT_LABEL = "coop-cloud.backupbot.enabled=true"
CLOCK_SLACK = 2.0  # seconds; times of one machine may differ by rounding
VOLUMES = "/var/lib/docker/volumes"


@dataclass(frozen=True, slots=True)
class Expected:
    """An absolute path that a snapshot must contain; `dump` if a hook writes it."""

    path: str
    dump: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder in a snapshot: size in bytes, modification time in unix seconds."""

    path: str
    kind: str
    size: int
    mtime: float


def newest(snapshots: Sequence[Mapping[str, Any]], stack: str, since: float) -> str:
    """Return the id of the newest snapshot of a stack since a time.

    Args:
        snapshots: rows of `restic snapshots --json`.
        stack: name of the stack.
        since: when the backup began, in unix seconds.

    Raises:
        RecipeFailure: there is no such snapshot.
    """
    mine = [s for s in snapshots if _belongs(s, stack)]
    fresh = [s for s in mine if timestamps.unix(s["time"]) >= since - CLOCK_SLACK]
    if not fresh:
        raise RecipeFailure(
            f"the backup reported success, but restic has no new snapshot of '{stack}' "
            f"({len(mine)} older ones)"
        )
    return str(max(fresh, key=lambda s: timestamps.unix(s["time"]))["id"])


def _belongs(snapshot: Mapping[str, Any], stack: str) -> bool:
    tags = [str(tag).partition(":")[0] for tag in snapshot.get("tags") or []]
    paths = [str(path) for path in snapshot.get("paths") or []]
    return stack in tags or any(f"/{stack}_" in path for path in paths)


def missing(expected: Iterable[Expected], entries: Sequence[Entry], since: float) -> list[str]:
    """Return a sentence for each expected path that is missing, empty or stale.

    Args:
        expected: what the snapshot must contain.
        entries: what it contains.
        since: when the backup began, in unix seconds; a dump must not be older.
    """
    by_path = {item.path: item for item in entries}
    problems = []
    for want in expected:
        have = by_path.get(want.path)
        if have is None:
            problems.append(f"'{want.path}' is not in the snapshot")
        elif want.dump and have.kind == "file" and have.size == 0:
            problems.append(f"the dump '{want.path}' is empty")
        elif want.dump and have.mtime < since - CLOCK_SLACK:
            age = since - have.mtime
            problems.append(f"the dump '{want.path}' is {age:.0f} s older than this backup")
        elif have.kind == "dir" and not any(i.path.startswith(want.path + "/") for i in entries):
            problems.append(f"'{want.path}' is empty in the snapshot")
    return problems


def parse_listing(text: str) -> list[Entry]:
    """Parse `restic ls --json`: a JSON object on each line, of which the first describes the snapshot."""
    entries = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if (
            isinstance(row, dict)
            and "path" in row
            and row.get("type") in ("file", "dir", "symlink")
        ):
            mtime = timestamps.unix(row["mtime"]) if row.get("mtime") else 0.0
            entries.append(Entry(row["path"], row["type"], int(row.get("size", 0)), mtime))
    return entries


def bot_container(api: Any = None) -> str:
    """Return the id of the backup bot's running container.

    Raises:
        InfraError: no backup bot runs on this server.
    """
    api = api or engine.client()
    services = api.services(filters={"label": BOT_LABEL.partition("=")[0]})
    for service in services:
        name = service["Spec"]["Name"]
        tasks = api.tasks(filters={"service": name, "desired-state": "running"})
        for task in tasks:
            container = task["Status"].get("ContainerStatus", {}).get("ContainerID")
            if task["Status"]["State"] == "running" and container:
                return str(container)
    raise InfraError(
        f"no backup bot runs here (no service with label {BOT_LABEL}); "
        "deploy backup-bot-two, or run `make setup` for the sandbox"
    )


def restic(*words: str, api: Any = None) -> str:
    """Run restic in the backup bot's container and return its output.

    Raises:
        InfraError: restic failed.
    """
    api = api or engine.client()
    argv = ["restic", "--no-lock", *words]
    made = api.exec_create(bot_container(api), argv)
    out, err = api.exec_start(made["Id"], demux=True)
    exit_code = api.exec_inspect(made["Id"])["ExitCode"]
    if exit_code != 0:
        message = (err or b"").decode(errors="replace").strip()[-500:]
        raise InfraError(
            f"'restic {words[0]}' in the backup bot failed with exit code {exit_code}: {message}"
        )
    return (out or b"").decode(errors="replace")


def verify(stack: str, expected: Sequence[Expected], since: float) -> str:
    """Check the newest snapshot of a stack and return its short id.

    Args:
        stack: name of the stack.
        expected: what the snapshot must contain.
        since: when the backup began, in unix seconds.

    Raises:
        RecipeFailure: there is no new snapshot, or an expected path is missing, empty or stale.
        InfraError: the backup bot or its restic does not answer.
    """
    try:
        snapshots = json.loads(restic("snapshots", "--json", "--latest", "50"))
    except json.JSONDecodeError as error:
        raise InfraError(f"restic's list of snapshots is not JSON: {error}") from error
    chosen = newest(snapshots, stack, since)
    problems = missing(expected, parse_listing(restic("ls", "--json", chosen)), since)
    if problems:
        raise RecipeFailure(
            "the backup reported success, but its snapshot is incomplete: " + "; ".join(problems)
        )
    return chosen[:8]
