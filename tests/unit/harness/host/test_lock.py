"""Locks and slots, with real processes: whoever dies holds nothing, and no two hold the same."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InfraError, TimedOut
from harness.host import lock
from harness.settings import Settings
from tests.support.lock_holder import Holder, below, me


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    return below(tmp_path)


def test_the_kernel_frees_a_lock_when_its_holder_is_killed(here: Settings) -> None:
    """No death leaves a lock behind."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert holder.said == "held" and lock.try_take(path, me()) is None
    finally:
        holder.kill()
    taken = lock.try_take(path, me())
    assert taken is not None
    taken.release()


def test_who_waits_is_told_for_whom(here: Settings) -> None:
    """The message names the run and the process that hold the lock."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    said: list[str] = []
    try:
        waiting = lock.take(path, me(), what="the lock", timeout=0.3, progress=said.append)
        with pytest.raises(TimedOut, match="the lock"), waiting:
            pytest.fail("two hold one lock")
    finally:
        holder.kill()
    assert f"held by run run-7 of hello (process {holder.process.pid}" in said[0]


def test_asking_whether_a_lock_is_held_does_not_erase_who_holds_it(here: Settings) -> None:
    """Older filelock emptied the file of whoever merely tried; the pin holds."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert lock.is_held(path)
        written = lock.recorded_owner(path)
        assert written is not None and written.run == "run-7"
    finally:
        holder.kill()


def test_a_deleted_lock_file_protects_nobody(here: Settings) -> None:
    """A lock on a file that the path no longer names does not count as taken."""
    path = lock.recipe_lock(here, "hello")
    first = lock.try_take(path, me())
    assert first is not None
    path.unlink()
    second = lock.try_take(path, me())
    assert second is not None
    second.release()
    first.release()


def test_a_lock_file_that_is_deleted_while_it_is_taken_is_not_taken(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last holder may remove it between our opening and our locking of it; others lock a new one then."""
    path = lock.recipe_lock(here, "hello")
    acquire = lock.FileLock.acquire

    def late(taken: Any, *words: Any, **more: Any) -> Any:
        made = acquire(taken, *words, **more)
        path.unlink()
        return made

    with monkeypatch.context() as patch:
        patch.setattr(lock.FileLock, "acquire", late)
        assert lock.try_take(path, me()) is None
    taken = lock.try_take(path, me())
    assert taken is not None
    taken.release()


def test_a_file_system_without_locks_gives_none(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that only exists would be no lock: nobody would remove it when its holder dies."""

    def unknown(fd: int, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(InfraError, match=r"cannot lock '.*': Function not implemented"):
        lock.try_take(lock.recipe_lock(here, "hello"), me())


def test_a_lock_that_cannot_be_signed_is_given_back(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk nobody waits for a holder that could not say who it is."""
    path = lock.recipe_lock(here, "hello")

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InfraError, match="cannot write into lock") as caught:
            lock.try_take(path, me())
    assert caught.value.__cause__ is not None and not lock.is_held(path)


def test_there_are_two_slots_and_no_third(here: Settings) -> None:
    """However runs are started, two at once is the most."""
    say = lambda line: None  # noqa: E731
    with (
        lock.take_slot(here, me(), timeout=1, progress=say) as one,
        lock.take_slot(here, me(), timeout=1, progress=say) as two,
    ):
        assert one != two
        third = lock.take_slot(here, me(), timeout=0.3, progress=say)
        with pytest.raises(TimedOut, match="a slot"), third:
            pytest.fail("a third slot")
