"""Which runs there are and which apps they hold: written before anything is made, twice.

An app's entry stands in the machine's registry and, since that is emptied by a reboot, in its run's
directory as well. The run itself has a record there from its first moment until nothing of it is left.
While the run lives it holds a flock on each. A process id alone is no proof of life: it may have been
given to another program, so its start time counts too (/proc/<pid>/stat, field 22).
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from harness.errors import InfraError, TimedOut
from harness.host import lock, orphans, wait
from harness.settings import Settings

RECORD = "run.json"  # in a run's directory, while the run lives or something of it is left
APPS = "apps"  # folder in a run's directory: the entries of its apps
MOMENT = 5.0  # seconds in which the lock of a dead owner comes free
PATIENCE = 120.0  # seconds to wait for a janitor who removes the last owner of a name


@dataclass
class Entry:
    """An app's entry, or with an empty domain a run's own record.

    Times are unix seconds; `keep_until` is 0 for apps that nobody keeps.
    """

    domain: str
    stack: str
    run: str
    run_dir: str
    recipe: str
    life: str
    pid: int
    started: str
    boot: str
    created: float
    keep_until: float = 0.0
    held: FileLock | None = field(default=None, compare=False, repr=False)

    @property
    def folder(self) -> Path:
        """The directory of its run."""
        return Path(self.run_dir)

    def close(self) -> None:
        """Give the entry up."""
        if self.held is not None:
            self.held.release()
            self.held = None


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" when none runs."""
    process = orphans.running(pid)
    return process.started if process else ""


# %% Writing


def begin(folder: Path, *, run: str, recipe: str) -> Entry:
    """Write the record of a run that begins in a directory, and hold it.

    Raises:
        InfraError: a living run has this directory.
    """
    made = _mine("", "", run, folder, recipe, "")
    made.held = lock.try_take(_lock_of(folder / RECORD), None)
    if made.held is None:
        raise InfraError(f"run '{run}' is still going on in '{folder}'; give this one another id")
    _write(folder / RECORD, made)
    return made


def is_free(folder: Path) -> bool:
    """Say whether no living run has this directory."""
    record = _read(folder / RECORD)
    return record is None or not (lock.is_held(_lock_of(folder / RECORD)) or _runs(record))


def register(
    settings: Settings, *, domain: str, stack: str, run: str, run_dir: Path, recipe: str, life: str
) -> Entry:
    """Write the entry of an app that is about to be made, and hold it.

    Raises:
        InfraError: another living run holds this domain, or a dead one's is not removed yet.
    """
    entry = _mine(domain, stack, run, run_dir, recipe, life)
    path = settings.active_dir / domain
    entry.held = _take(path)
    left = _read(path)
    if left is not None:
        entry.close()
        raise InfraError(
            f"'{domain}' was left behind by run '{left.run}'; `cc-ci janitor` removes what it can"
        )
    try:
        (run_dir / APPS).mkdir(parents=True, exist_ok=True)
        for path in _places(settings, entry):
            _write(path, entry)
    except OSError as error:
        entry.close()
        raise InfraError(f"cannot register '{domain}' in '{path}': {error.strerror}") from error
    return entry


def _mine(domain: str, stack: str, run: str, folder: Path, recipe: str, life: str) -> Entry:
    pid = os.getpid()
    return Entry(
        domain, stack, run, str(folder), recipe, life, pid, start_time(pid), boot_id(), time.time()
    )


def _take(path: Path) -> FileLock:
    """Take the lock of an entry; a janitor may have it for as long as it removes the last owner."""

    def look() -> wait.Look[FileLock]:
        held = lock.try_take(_lock_of(path), None)
        written = _read(path)
        if held is None and written is not None and _runs(written):
            raise InfraError(f"the domain '{path.name}' is held by another run, '{written.run}'")
        return wait.Look("the last owner's is being removed", held)

    try:
        return wait.until(look, what=f"the name '{path.name}'", timeout=PATIENCE, every=0.05)
    except TimedOut as error:
        raise InfraError(f"the domain '{path.name}' is held by another run: {error}") from error


def keep(settings: Settings, domain: str, *, until: float) -> None:
    """Let an app stay until a time although its run ends (0: no longer)."""
    for entry in entries(settings):
        if entry.domain == domain:
            for path in _places(settings, entry):
                _write(path, replace(entry, keep_until=until))


def forget(settings: Settings, entry: Entry) -> None:
    """Remove an entry and give it up; what it stood for is gone."""
    for path in _places(settings, entry):
        path.unlink(missing_ok=True)
    _lock_path(settings, entry).unlink(missing_ok=True)
    entry.close()


# %% Reading


def entries(settings: Settings) -> list[Entry]:
    """Return the entries of all apps; an unreadable one is left out and stays."""
    places = [
        *settings.active_dir.glob("[!.]*"),
        *settings.runs_dir.glob(f"*/{APPS}/[!.]*"),
    ]
    found: dict[str, Entry] = {}
    for path in sorted(places, key=lambda path: path.name):
        entry = _read(path)
        if entry is not None:
            found.setdefault(entry.domain, entry)
    return list(found.values())


def runs(settings: Settings) -> list[Entry]:
    """Return the records of all runs that live or of which something is left."""
    read = (_read(path) for path in sorted(settings.runs_dir.glob(f"*/{RECORD}")))
    return [record for record in read if record is not None]


def owner_alive(settings: Settings, entry: Entry) -> bool:
    """Say whether the run that wrote an entry still lives."""
    return lock.is_held(_lock_path(settings, entry)) or _runs(entry)


def claim(settings: Settings, entry: Entry) -> Entry | None:
    """Take a dead owner's entry over and hold it; None where its owner lives or it changed hands."""
    if _runs(entry):
        return None
    held = _take_soon(_lock_path(settings, entry))
    if held is None:
        return None
    now = next((read for path in _places(settings, entry) if (read := _read(path))), None)
    if now is None or replace(now, keep_until=entry.keep_until) != entry:
        held.release()
        return None
    return replace(now, held=held)


def _take_soon(path: Path) -> FileLock | None:
    """Take the lock of a dead owner, which somebody who only looks may hold for a moment."""

    def look() -> wait.Look[FileLock]:
        return wait.Look("", lock.try_take(path, None))

    with suppress(TimedOut):
        return wait.until(look, what="a dead run's entry", timeout=MOMENT, every=0.01)
    return None


def _runs(entry: Entry) -> bool:
    """Say whether the very process that wrote an entry still runs."""
    return (
        entry.boot == boot_id() and bool(entry.started) and start_time(entry.pid) == entry.started
    )


# %% Places


def _places(settings: Settings, entry: Entry) -> list[Path]:
    if not entry.domain:
        return [entry.folder / RECORD]
    return [settings.active_dir / entry.domain, entry.folder / APPS / entry.domain]


def _lock_path(settings: Settings, entry: Entry) -> Path:
    return _lock_of(_places(settings, entry)[0])


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _read(path: Path) -> Entry | None:
    try:
        return Entry(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, entry: Entry) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    plain = {k: v for k, v in asdict(replace(entry, held=None)).items() if k != "held"}
    part.write_text(json.dumps(plain) + "\n")
    os.replace(part, path)
