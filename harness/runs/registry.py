"""The registry of runs and their apps; an entry is written before anything is created.

Each app has an entry in the host's registry and a copy in its run's directory, because a reboot empties
the first. The run has an entry in its directory until nothing of it is left. A running run holds a flock
on each entry. A process id alone does not prove that the owner is alive, since the kernel reuses ids: the
start time must match too (/proc/<pid>/stat, field 22).
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from contract import run_files
from harness.errors import InfraError, TimedOut
from harness.host import lock, orphans, wait
from harness.settings import Settings

RUN_ENTRY = "run.json"  # in a run's directory, until the run is over and nothing of it is left
APPS = "apps"  # folder in a run's directory: the entries of its apps
DEAD_LOCK_TIMEOUT = 5.0  # seconds until the lock of a dead owner is free
NAME_TIMEOUT = 120.0  # seconds to wait while a janitor removes the previous app of a name


@dataclass
class Entry:
    """The entry of an app, or with an empty domain the entry of a run.

    Attributes:
        started: when the owner's process started, in clock ticks since boot.
        boot: the id of the boot in which it started.
        created: when the entry was written, in unix seconds.
        keep_until: until when the app stays up after its run, in unix seconds; 0 if it does not.
        held: the entry's lock, if this process holds it.
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
        """The run's directory."""
        return Path(self.run_dir)

    def close(self) -> None:
        """Release the entry's lock."""
        if self.held is not None:
            self.held.release()
            self.held = None


def boot_id() -> str:
    """Return the id of the host's current boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" if there is no such process."""
    process = orphans.running(pid)
    return process.started if process else ""


# %% Writing


def begin(folder: Path, *, run: str, recipe: str) -> Entry:
    """Write and lock the entry of a run.

    Args:
        folder: the run's directory.
        run: the run's id.
        recipe: the recipe under test.

    Raises:
        InfraError: another run is using this directory.
    """
    made = _own_entry("", "", run, folder, recipe, "")
    made.held = lock.try_take(_lock_of(folder / RUN_ENTRY), None)
    if made.held is None:
        raise InfraError(f"run '{run}' is still running in '{folder}'; give this one another id")
    _write(folder / RUN_ENTRY, made)
    return made


def is_free(folder: Path) -> bool:
    """Return True if no running run uses this directory."""
    path = folder / RUN_ENTRY
    entry = _read(path)
    return entry is None or not (lock.is_held(_lock_of(path)) or _process_alive(entry))


def register(
    settings: Settings, *, domain: str, stack: str, run: str, run_dir: Path, recipe: str, life: str
) -> Entry:
    """Write and lock the entry of an app that is about to be created.

    Raises:
        InfraError: another run has an app with this domain, or a dead run's app is not removed yet.
    """
    entry = _own_entry(domain, stack, run, run_dir, recipe, life)
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
        for path in _paths(settings, entry):
            _write(path, entry)
    except OSError as error:
        entry.close()
        raise InfraError(f"cannot register '{domain}' in '{path}': {error.strerror}") from error
    return entry


def _own_entry(domain: str, stack: str, run: str, folder: Path, recipe: str, life: str) -> Entry:
    pid = os.getpid()
    return Entry(
        domain, stack, run, str(folder), recipe, life, pid, start_time(pid), boot_id(), time.time()
    )


def _take(path: Path) -> FileLock:
    """Take the lock of an entry; a janitor may hold it while it removes the previous app of that name."""

    def look() -> wait.Look[FileLock]:
        held = lock.try_take(_lock_of(path), None)
        written = _read(path)
        if held is None and written is not None and _process_alive(written):
            raise InfraError(f"the domain '{path.name}' is held by another run, '{written.run}'")
        return wait.Look("the previous app of that name is being removed", held)

    try:
        return wait.until(look, what=f"the name '{path.name}'", timeout=NAME_TIMEOUT, every=0.05)
    except TimedOut as error:
        raise InfraError(f"the domain '{path.name}' is held by another run: {error}") from error


def keep(settings: Settings, domain: str, *, until: float) -> None:
    """Keep an app up after its run.

    Args:
        settings: the session's settings.
        domain: the app's domain.
        until: in unix seconds; 0 ends the keeping.
    """
    for entry in entries(settings):
        if entry.domain == domain:
            for path in _paths(settings, entry):
                _write(path, replace(entry, keep_until=until))


def forget(settings: Settings, entry: Entry) -> None:
    """Delete an entry and release it; its run or app no longer exists."""
    for path in _paths(settings, entry):
        path.unlink(missing_ok=True)
    _lock_path(settings, entry).unlink(missing_ok=True)
    entry.close()


# %% Reading


def entries(settings: Settings) -> list[Entry]:
    """Return the entries of all apps; an unreadable one is left out and stays."""
    paths = [
        *settings.active_dir.glob("[!.]*"),
        *settings.runs_dir.glob(f"*/{APPS}/[!.]*"),
    ]
    found: dict[str, Entry] = {}
    for path in sorted(paths, key=lambda path: path.name):
        entry = _read(path)
        if entry is not None:
            found.setdefault(entry.domain, entry)
    return list(found.values())


def runs(settings: Settings) -> list[Entry]:
    """Return the entries of all runs that are running or of which something is left."""
    read = (_read(path) for path in sorted(settings.runs_dir.glob(f"*/{RUN_ENTRY}")))
    return [entry for entry in read if entry is not None]


def claim(settings: Settings, entry: Entry) -> Entry | None:
    """Take over and lock a dead owner's entry; None if the owner is alive or the entry has changed."""
    if _process_alive(entry):
        return None
    held = _take_dead(_lock_path(settings, entry))
    if held is None:
        return None
    now = next((read for path in _paths(settings, entry) if (read := _read(path))), None)
    if now is None or replace(now, keep_until=entry.keep_until) != entry:
        held.release()
        return None
    return replace(now, held=held)


def _take_dead(path: Path) -> FileLock | None:
    """Take the lock of a dead owner; another process that checks it may hold it briefly."""

    def look() -> wait.Look[FileLock]:
        return wait.Look("", lock.try_take(path, None))

    with suppress(TimedOut):
        return wait.until(look, what="a dead run's entry", timeout=DEAD_LOCK_TIMEOUT, every=0.01)
    return None


def _process_alive(entry: Entry) -> bool:
    """Return True if the process that wrote an entry is still running."""
    return (
        entry.boot == boot_id() and bool(entry.started) and start_time(entry.pid) == entry.started
    )


# %% Files


def env_path(run_dir: Path, domain: str) -> Path:
    """Return the path of an app's env file in a run's own abra directory."""
    return run_dir / run_files.ABRA / "servers" / "default" / f"{domain}.env"


def _paths(settings: Settings, entry: Entry) -> list[Path]:
    if not entry.domain:
        return [entry.folder / RUN_ENTRY]
    return [settings.active_dir / entry.domain, entry.folder / APPS / entry.domain]


def _lock_path(settings: Settings, entry: Entry) -> Path:
    return _lock_of(_paths(settings, entry)[0])


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
