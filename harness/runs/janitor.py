"""The janitor removes what dead runs left; an owner's liveness decides, not its age.

A live owner is never touched. What a dead owner left (its lock is free and its process gone, or it is
from an earlier boot) is removed immediately: first its remaining processes, then its apps, then its
checkout; its report is written last. The entry is locked meanwhile, so that no new run takes the name.
Stacks that look like ours but have no entry are removed only when they are old.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract import run_files
from harness.errors import CcCiError
from harness.host import lock, orphans
from harness.host.lock import Owner
from harness.runs import registry
from harness.runs.registry import Entry
from harness.settings import Settings
from harness.swarm import remove
from harness.swarm.remove import Leftover

LOCK_TIMEOUT = 300.0  # seconds to wait for another sweep to finish


@dataclass
class Sweep:
    """The result of one sweep.

    Attributes:
        removed: the domains and stacks that were removed.
        kept: the domains of apps that are kept for now.
        left: what could not be removed.
        ended: the ids of runs whose processes were ended already.
    """

    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[Leftover] = field(default_factory=list)
    ended: set[str] = field(default_factory=set, repr=False)

    def __str__(self) -> str:
        """Return the result as one line."""
        left = ", ".join(f"{item.kind} {item.name} ({item.why})" for item in self.left)
        return (
            f"removed {', '.join(self.removed) or 'nothing'}; kept {', '.join(self.kept) or 'nothing'}"
            + (f"; could not remove {left}" if left else "")
        )


def sweep(
    settings: Settings,
    api: Any,
    *,
    own_run: str,
    progress: Callable[[str], None],
    finish: Callable[[Path], object],
    now: Callable[[], float] = time.time,
) -> Sweep:
    """Remove what dead runs left, and stacks without an entry that are older than `janitor_max_age`.

    Args:
        settings: the folders, and `janitor_max_age`.
        api: the Docker API client.
        own_run: the id of the run that sweeps.
        progress: prints one line.
        finish: called with the folder of each dead run, to write its report.
        now: returns the time in unix seconds.

    Raises:
        TimedOut: another sweep did not finish in time.
    """
    done = Sweep()
    path = settings.lock_dir / "cc-ci-janitor.lock"
    owner = Owner.me(run=own_run, recipe="janitor")
    with lock.take(path, owner, what="another sweep", timeout=LOCK_TIMEOUT, progress=progress):
        for entry in registry.entries(settings):
            with _claimed(settings, entry) as taken:
                if taken is not None:
                    _remove_app(settings, api, taken, done, progress, now())
        for entry in registry.runs(settings):
            with _claimed(settings, entry) as taken:
                if taken is not None:
                    _finalise_dead_run(settings, taken, done, progress, finish)
        _remove_old_stacks(settings, api, done, progress, now())
    for item in done.left:
        progress(f"could not remove {item.kind} {item.name}: {item.why or 'it is still there'}")
    return done


@contextmanager
def _claimed(settings: Settings, entry: Entry) -> Iterator[Entry | None]:
    """Lock a dead owner's entry for the duration of a `with` block; None if the owner is alive."""
    taken = registry.claim(settings, entry)
    try:
        yield taken
    finally:
        if taken is not None:
            taken.close()


def _remove_app(
    settings: Settings,
    api: Any,
    entry: Entry,
    done: Sweep,
    progress: Callable[[str], None],
    now: float,
) -> None:
    """Remove a dead run's app, unless it is to be kept for now."""
    if entry.keep_until > now:
        done.kept.append(entry.domain)
        return
    progress(f"removing {entry.domain}, left by run {entry.run}")
    left = _end_processes(entry, done)
    env_file = registry.env_path(entry.folder, entry.domain)
    left += [] if left else remove.remove_stack(api, entry.stack, env_file=env_file)
    done.left += left
    if not left:
        registry.forget(settings, entry)
        done.removed.append(entry.domain)


def _finalise_dead_run(
    settings: Settings,
    entry: Entry,
    done: Sweep,
    progress: Callable[[str], None],
    finish: Callable[[Path], object],
) -> None:
    """End a dead run's processes, remove its checkout and write its report.

    Its entry stays while an app of the run could not be removed.
    """
    done.left += _end_processes(entry, done)
    apps = [app for app in registry.entries(settings) if app.run_dir == entry.run_dir]
    if not apps:
        shutil.rmtree(entry.folder / run_files.ABRA, ignore_errors=True)
    try:
        finish(entry.folder)
    except (OSError, CcCiError) as error:
        progress(f"could not write the report of run {entry.run}: {error}")
        return
    if not apps:
        registry.forget(settings, entry)


def _end_processes(entry: Entry, done: Sweep) -> list[Leftover]:
    """End the processes of an entry's run; return those that do not exit."""
    if not entry.domain and entry.run in done.ended:
        return []
    done.ended.add(entry.run)
    alive = orphans.terminate(entry.folder, [entry.domain] if entry.domain else [])
    return [Leftover("process", str(p.pid), f"of run {entry.run}, does not exit") for p in alive]


def _remove_old_stacks(
    settings: Settings, api: Any, done: Sweep, progress: Callable[[str], None], now: float
) -> None:
    """Remove stacks that look like ours, have no entry, and are older than `janitor_max_age`."""
    found = remove.stacks(api, settings.apps_domain)
    # Read after the stacks: a run writes its entry first, so each stack of a running run has one here.
    known = {entry.stack for entry in registry.entries(settings)}
    for stack, created in found.items():
        if stack not in known and now - created > settings.janitor_max_age:
            progress(
                f"removing stack {stack}: it has no owner and is {(now - created) / 60:.0f} min old"
            )
            left = remove.remove_stack(api, stack)
            done.left += left
            if not left:
                done.removed.append(stack)
