"""Locks and slots, with real processes."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from harness.errors import InfraError, TimedOut
from harness.host import lock
from harness.settings import Settings
from tests.support.lock_holder import Holder, me, settings_below


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings_below(tmp_path)


def test_the_kernel_releases_a_lock_when_its_owner_is_killed(here: Settings) -> None:
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert holder.answer == "held" and lock.try_take(path, me()) is None
    finally:
        holder.kill()
    taken = lock.try_take(path, me())
    assert taken is not None
    taken.release()


def test_waiting_for_a_lock_names_its_owner(here: Settings) -> None:
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    lines: list[str] = []
    try:
        waiting = lock.take(path, me(), what="the lock", timeout=0.3, progress=lines.append)
        with pytest.raises(TimedOut, match="the lock"), waiting:
            pytest.fail("two processes hold one lock")
    finally:
        holder.kill()
    assert f"held by run run-7 of hello (process {holder.process.pid}" in lines[0]


def test_checking_a_lock_keeps_its_owner_in_the_file(here: Settings) -> None:
    """Older versions of filelock emptied the file when another process tried to lock it, hence the pin."""
    path = lock.recipe_lock(here, "hello")
    holder = Holder(here, "lock", str(path))
    try:
        assert lock.is_held(path)
        owner = lock.recorded_owner(path)
        assert owner is not None and owner.run == "run-7"
    finally:
        holder.kill()


def test_a_lock_file_that_was_deleted_can_be_taken_again(here: Settings) -> None:
    """A lock on a file that the path no longer names protects nothing."""
    path = lock.recipe_lock(here, "hello")
    first = lock.try_take(path, me())
    assert first is not None
    path.unlink()
    second = lock.try_take(path, me())
    assert second is not None
    second.release()
    first.release()


def test_a_lock_file_deleted_while_it_is_being_locked_is_not_taken(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last owner may delete it after we opened it; others then lock a new file."""
    path = lock.recipe_lock(here, "hello")
    acquire = FileLock.acquire

    def acquire_then_delete(taken: Any, *words: Any, **more: Any) -> Any:
        made = acquire(taken, *words, **more)
        path.unlink()
        return made

    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", acquire_then_delete)
        assert lock.try_take(path, me()) is None
    taken = lock.try_take(path, me())
    assert taken is not None
    taken.release()


def test_a_file_system_without_locks_is_an_error(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mere lock file would not do: it would stay when its owner dies."""

    def unknown(fd: int, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(InfraError, match=r"cannot lock '.*': Function not implemented"):
        lock.try_take(lock.recipe_lock(here, "hello"), me())


def test_a_lock_whose_owner_cannot_be_written_is_released(
    here: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk no other run should wait for an owner that has given up."""
    path = lock.recipe_lock(here, "hello")

    def full(path: Path, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InfraError, match="cannot write into lock") as caught:
            lock.try_take(path, me())
    assert caught.value.__cause__ is not None and not lock.is_held(path)


def test_there_are_exactly_two_slots(here: Settings) -> None:
    ignore = lambda line: None  # noqa: E731
    with (
        lock.take_slot(here, me(), timeout=1, progress=ignore) as one,
        lock.take_slot(here, me(), timeout=1, progress=ignore) as two,
    ):
        assert one != two
        third = lock.take_slot(here, me(), timeout=0.3, progress=ignore)
        with pytest.raises(TimedOut, match="a slot"), third:
            pytest.fail("a third slot")
