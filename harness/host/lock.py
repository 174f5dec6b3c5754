"""Locks that the kernel frees on any death, with a line in the file that says who holds them.

filelock 4.2.6 and later leave the file's content alone and never delete it; older ones do not, hence
the pin. Python's descriptors are not inherited, so a lock is free at once when its holder dies, while
its children may still work: the janitor ends those first.
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
    """Who holds a lock: process, run, recipe, since when (unix seconds)."""

    pid: int
    run: str
    recipe: str
    since: float

    @classmethod
    def me(cls, *, run: str, recipe: str) -> Owner:
        """Return this process as an owner."""
        return cls(os.getpid(), run, recipe, round(time.time(), 3))

    def text(self) -> str:
        """Return the owner for messages."""
        since = time.strftime("%H:%M:%S", time.localtime(self.since))
        return f"run {self.run} of {self.recipe} (process {self.pid}, since {since})"


def recipe_lock(settings: Settings, recipe: str) -> Path:
    """Return the path of a recipe's lock."""
    return settings.lock_dir / f"cc-ci-recipe-{recipe}.lock"


def try_take(path: Path, owner: Owner | None) -> FileLock | None:
    """Take a lock without waiting; None when somebody holds it.

    Raises:
        InfraError: the lock's folder cannot be written.
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
        _sign(path, owner, lock)
    return lock


def _sign(path: Path, owner: Owner, lock: FileLock) -> None:
    """Write into a lock who holds it.

    Raises:
        InfraError: the disk does not take the line; the lock is given back.
    """
    try:
        path.write_text(json.dumps(asdict(owner)) + "\n")
    except OSError as error:
        lock.release()
        raise InfraError(f"cannot write into lock '{path}': {error.strerror}") from error


def _same_file(path: Path, lock: FileLock) -> bool:
    """Say whether the path still names the file that is locked."""
    fd = lock._context.lock_file_fd  # noqa: SLF001 - filelock has no public name for it
    try:
        return fd is not None and os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock."""
    if not path.exists():
        return False
    lock = try_take(path, None)
    if lock is None:
        return True
    lock.release()
    return False


def recorded_owner(path: Path) -> Owner | None:
    """Return who wrote himself into the lock file last, whether or not he still lives."""
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
    """Hold one of these locks for the time of a `with`, waiting for it if need be.

    what: what is waited for, for messages. timeout: seconds.

    Raises:
        TimedOut: not free in time.
    """
    choices = (paths,) if isinstance(paths, Path) else paths

    def look() -> wait.Look[tuple[Path, FileLock]]:
        for path in choices:
            lock = try_take(path, owner)
            if lock is not None:
                return wait.Look("", (path, lock))
        holders = [found.text() for path in choices if (found := recorded_owner(path))]
        return wait.Look(f"waiting for {what}: held by {' and by '.join(holders) or 'somebody'}")

    path, lock = wait.until(look, what=what, timeout=timeout, every=0.2, progress=progress)
    try:
        yield path
    finally:
        lock.release()


def take_slot(
    settings: Settings, owner: Owner, *, timeout: float, progress: Callable[[str], None]
) -> AbstractContextManager[Path]:
    """Hold one of the machine's slots for the time of a `with`; they limit runs at the same time.

    Args:
        settings: Say where the slots are.
        owner: Who takes the slot.
        timeout: Seconds to wait for a free one.
        progress: Receives a line that says who holds them.
    """
    paths = tuple(settings.slots_dir / str(number) for number in range(1, SLOTS + 1))
    return take(paths, owner, what="a slot", timeout=timeout, progress=progress)
