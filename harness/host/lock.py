"""File locks that the kernel releases when their owner dies; the file names the owner.

filelock 4.2.6 and later neither empty nor delete the file; older ones do, hence the pin. Children do not
inherit the lock, so it is free as soon as its owner dies, while children may still run: the janitor
stops those first. The two slots, which limit runs on this machine, are such locks as well.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import InfraError
from harness.host import wait
from harness.settings import SLOTS, Settings


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a lock: process id, run, recipe, and since when (unix seconds)."""

    pid: int
    run: str
    recipe: str
    since: float

    @classmethod
    def me(cls, *, run: str, recipe: str) -> Owner:
        """Return an owner for this process."""
        return cls(os.getpid(), run, recipe, round(time.time(), 3))

    def text(self) -> str:
        """Return a description for messages."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"run {self.run} of {self.recipe} (process {self.pid}, since {since})"


def recipe_lock(settings: Settings, recipe: str) -> Path:
    """Return the path of a recipe's lock."""
    return settings.lock_dir / f"cc-ci-recipe-{recipe}.lock"


def try_take(path: Path, owner: Owner | None) -> FileLock | None:
    """Take a lock without waiting; return None if it is held.

    Args:
        path: the lock file.
        owner: written into the file; None leaves its content alone.

    Raises:
        InfraError: the lock file cannot be made, locked or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=0, fallback_to_soft=False, is_singleton=False)
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        raise InfraError(f"cannot lock '{path}': {error.strerror}; run as root?") from error
    if not _same_file(path, lock):
        lock.release()
        return None
    if owner is not None:
        _write_owner(path, owner, lock)
    return lock


def _write_owner(path: Path, owner: Owner, lock: FileLock) -> None:
    """Write the owner into the lock file.

    Raises:
        InfraError: it cannot be written (full disk); the lock is released.
    """
    try:
        path.write_text(json.dumps(asdict(owner)) + "\n")
    except OSError as error:
        lock.release()
        raise InfraError(f"cannot write into lock '{path}': {error.strerror}") from error


def _same_file(path: Path, lock: FileLock) -> bool:
    """Return True if the path still names the locked file."""
    fd = lock._context.lock_file_fd  # noqa: SLF001 - filelock has no public name for it
    try:
        return fd is not None and os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Return True if a live process holds the lock."""
    if not path.exists():
        return False
    lock = try_take(path, None)
    if lock is None:
        return True
    lock.release()
    return False


def recorded_owner(path: Path) -> Owner | None:
    """Return the owner recorded in the lock file, alive or not."""
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def take(
    paths: Path | tuple[Path, ...],
    owner: Owner,
    *,
    what: str,
    timeout: float,
    progress: Callable[[str], None],
) -> Iterator[Path]:
    """Hold one of these locks for the duration of a `with` block; wait until one is free.

    Args:
        paths: the lock file, or several of which one is enough.
        owner: written into the file.
        what: name of the lock for messages.
        timeout: seconds to wait.
        progress: receives a line that names the owners while it waits.

    Returns:
        The path of the lock that is held.

    Raises:
        TimedOut: no lock was free in time.
    """
    choices = (paths,) if isinstance(paths, Path) else paths

    def look() -> wait.Look[tuple[Path, FileLock]]:
        for path in choices:
            lock = try_take(path, owner)
            if lock is not None:
                return wait.Look("", (path, lock))
        holders = [found.text() for path in choices if (found := recorded_owner(path))]
        return wait.Look(
            f"waiting for {what}: held by {' and by '.join(holders) or 'an unknown process'}"
        )

    path, lock = wait.until(look, what=what, timeout=timeout, every=0.2, progress=progress)
    try:
        yield path
    finally:
        lock.release()


def take_slot(
    settings: Settings, owner: Owner, *, timeout: float, progress: Callable[[str], None]
) -> AbstractContextManager[Path]:
    """Hold one of this machine's slots for the duration of a `with` block; see `take`."""
    paths = tuple(settings.slots_dir / str(number) for number in range(1, SLOTS + 1))
    return take(paths, owner, what="a slot", timeout=timeout, progress=progress)
