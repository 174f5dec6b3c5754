"""The janitor removes what no live run holds; it asks for life, not for age.

An owner that lives is never touched. One that is dead (its lock is free and its process gone, or it
is from another boot) is reaped at once: first its processes that still work, then its apps, then its
checkout; at last its report is written. The entry is held meanwhile, so that no new run takes the name.
Stacks that look like ours without an entry are left alone until they are old.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import CcCiError
from harness.host import lock, orphans
from harness.host.lock import Owner
from harness.runs import registry
from harness.runs.registry import Entry
from harness.settings import Settings
from harness.swarm import remove
from harness.swarm.remove import Leftover

LOCK_TIMEOUT = 300.0  # seconds to wait for another sweep
ABRA = "abra"  # folder in a run's directory: abra's data directory, with checkout and env files


@dataclass
class Sweep:
    """What one sweep did: domains and stacks reaped, what would not go."""

    reaped: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[Leftover] = field(default_factory=list)
    ended: set[str] = field(default_factory=set, repr=False)

    def __str__(self) -> str:
        """Tell it in one line."""
        left = ", ".join(f"{item.kind} {item.name} ({item.why})" for item in self.left)
        return (
            f"reaped {', '.join(self.reaped) or 'nothing'}; kept {', '.join(self.kept) or 'nothing'}"
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
    """Reap what dead runs left, and what is ours and unowned for longer than the settings' age.

    own_run: the id of the run that sweeps. finish: called with the folder of each dead run, to write
    its report. now: unix seconds.
    """
    done = Sweep()
    path = settings.lock_dir / "cc-ci-janitor.lock"
    owner = Owner.me(run=own_run, recipe="janitor")
    with lock.take(path, owner, what="another sweep", timeout=LOCK_TIMEOUT, progress=progress):
        for entry in registry.entries(settings):
            _held(settings, entry, lambda held: _reap(settings, api, held, done, progress, now()))
        for record in registry.runs(settings):
            _held(settings, record, lambda held: _bury(settings, held, done, progress, finish))
        _reap_unknown(settings, api, done, progress, now())
    for item in done.left:
        progress(f"could not remove {item.kind} {item.name}: {item.why or 'it does not go'}")
    return done


def _held(settings: Settings, entry: Entry, work: Callable[[Entry], None]) -> None:
    """Do something with an entry whose owner is dead, holding it meanwhile."""
    mine = registry.claim(settings, entry)
    if mine is not None:
        try:
            work(mine)
        finally:
            mine.close()


def _reap(
    settings: Settings,
    api: Any,
    entry: Entry,
    done: Sweep,
    progress: Callable[[str], None],
    now: float,
) -> None:
    """Remove a dead run's app, unless somebody keeps it."""
    if entry.keep_until > now:
        done.kept.append(entry.domain)
        return
    progress(f"reaping {entry.domain}, left by run {entry.run}")
    left = _ended(entry, done)
    env = entry.folder / ABRA / "servers" / "default" / f"{entry.domain}.env"
    left += [] if left else remove.remove_stack(api, entry.stack, env_file=env)
    done.left += left
    if not left:
        registry.forget(settings, entry)
        done.reaped.append(entry.domain)


def _bury(
    settings: Settings,
    record: Entry,
    done: Sweep,
    progress: Callable[[str], None],
    finish: Callable[[Path], object],
) -> None:
    """End what still runs of a dead run, remove its checkout and write its report.

    The record stays while an app of the run could not be removed.
    """
    done.left += _ended(record, done)
    own = [entry for entry in registry.entries(settings) if entry.run_dir == record.run_dir]
    if not own:
        shutil.rmtree(record.folder / ABRA, ignore_errors=True)
    try:
        finish(record.folder)
    except (OSError, CcCiError) as error:
        progress(f"could not write the report of run {record.run}: {error}")
        return
    if not own:
        registry.forget(settings, record)


def _ended(entry: Entry, done: Sweep) -> list[Leftover]:
    """End what still runs of an entry's run; return what would not end."""
    if not entry.domain and entry.run in done.ended:
        return []
    done.ended.add(entry.run)
    living = orphans.terminate(entry.folder, [entry.domain] if entry.domain else [])
    return [Leftover("process", str(p.pid), f"of run {entry.run}, does not end") for p in living]


def _reap_unknown(
    settings: Settings, api: Any, done: Sweep, progress: Callable[[str], None], now: float
) -> None:
    """Remove stacks that look like ours, have no entry, and are older than the age set."""
    found = remove.stacks(api, settings.apps_domain)
    # Asked after: a run has its entry before its first object, so whatever was found of it is known.
    known = {entry.stack for entry in registry.entries(settings)}
    for stack, created in found.items():
        if stack not in known and now - created > settings.janitor_max_age:
            progress(
                f"reaping stack {stack}: nobody owns it and it is {(now - created) / 60:.0f} min old"
            )
            left = remove.remove_stack(api, stack)
            done.left += left
            if not left:
                done.reaped.append(stack)
