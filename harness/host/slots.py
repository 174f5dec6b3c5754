"""Two machine-wide slots, whoever starts pytest: the capacity of one host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from harness.host import lock
from harness.host.lock import Owner
from harness.settings import SLOTS, Settings


def take_slot(
    settings: Settings, owner: Owner, *, timeout: float, progress: Callable[[str], None]
) -> AbstractContextManager[Path]:
    """Hold one of the slots for the time of a `with`; says who has them while it waits."""
    paths = tuple(settings.slots_dir / str(number) for number in range(1, SLOTS + 1))
    return lock.take(paths, owner, what="a slot", timeout=timeout, progress=progress)
