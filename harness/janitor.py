"""The janitor removes what no live run holds; it asks for life, not for age.

An owner that lives is never touched. One that is dead (its lock is free and its process gone, or it
is from another boot) is reaped at once: first its processes that still work, then its apps. Stacks
that look like ours without an entry are left alone until they are old.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import lock, registry, remove, wait
from harness.errors import TimedOut
from harness.lock import Owner
from harness.registry import Entry
from harness.remove import Leftover
from harness.settings import Settings
from harness.swarm import NAMESPACE

OURS = re.compile(r"[0-9a-f]{6}-[a-z0-9-]+_.+")
LOCK_TIMEOUT = 300.0  # seconds to wait for another sweep
GRACE = 5.0  # seconds between SIGTERM and SIGKILL


@dataclass
class Sweep:
    """What one sweep did: domains and stacks reaped, what would not go."""

    reaped: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    left: list[Leftover] = field(default_factory=list)

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
    report: Callable[[str], None],
    finish: Callable[[Path], object] = lambda folder: None,
    now: Callable[[], float] = time.time,
) -> Sweep:
    """Reap what dead runs left, and what is ours and unowned for longer than the settings' age.

    own_run: the id of the run that sweeps. finish: called with the folder of each dead run, to write
    its report. now: unix seconds.
    """
    done = Sweep()
    path = settings.lock_dir / "cc-ci-janitor.lock"
    owner = Owner.me(run=own_run, recipe="janitor")
    with lock.take(path, owner, what="another sweep", timeout=LOCK_TIMEOUT, report=report):
        for entry in registry.entries(settings):
            if registry.owner_alive(settings, entry):
                continue
            if entry.keep_until > now():
                done.kept.append(entry.domain)
                continue
            report(f"reaping {entry.domain}, left by run {entry.run}")
            end_processes(entry.run)
            _reap(settings, api, entry, done)
            finish(Path(entry.run_dir))
        _reap_unknown(settings, api, done, report, now())
    return done


def _reap(settings: Settings, api: Any, entry: Entry, done: Sweep) -> None:
    env = Path(entry.run_dir) / "abra" / "servers" / "default" / f"{entry.domain}.env"
    left = remove.remove_stack(api, entry.stack, env_file=env)
    done.left += left
    if not left:
        registry.forget(settings, entry.domain)
        done.reaped.append(entry.domain)


def _reap_unknown(
    settings: Settings, api: Any, done: Sweep, report: Callable[[str], None], now: float
) -> None:
    """Remove stacks that look like ours, have no entry, and are older than the age set."""
    known = {entry.stack for entry in registry.entries(settings)}
    stacks: dict[str, float] = {}
    for service in api.services():
        stack = (service["Spec"].get("Labels") or {}).get(NAMESPACE, "")
        if OURS.fullmatch(stack) and stack not in known:
            stacks[stack] = max(stacks.get(stack, 0.0), _created(service))
    for stack, created in stacks.items():
        if now - created > settings.janitor_max_age:
            report(
                f"reaping stack {stack}: nobody owns it and it is {(now - created) / 60:.0f} min old"
            )
            left = remove.remove_stack(api, stack)
            done.left += left
            if not left:
                done.reaped.append(stack)


def _created(service: dict[str, Any]) -> float:
    text = str(service.get("CreatedAt", "1970-01-01T00:00:00"))[:19]
    return datetime.fromisoformat(text + "+00:00").timestamp()


def processes_of(run: str) -> list[int]:
    """Return the living processes that carry a run's id in their environment, without ourselves."""
    wanted = f"CCCI_RUN={run}".encode()
    mine = {os.getpid(), os.getppid()}
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) in mine:
            continue
        with contextlib.suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def end_processes(run: str) -> None:
    """End every process of a dead run: SIGTERM, five seconds, SIGKILL."""
    if not run:
        return
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes_of(run):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, sign)
        with contextlib.suppress(TimedOut):
            wait.until(
                lambda: wait.Look("", None if processes_of(run) else True),
                what="a dead run's processes to end",
                timeout=GRACE,
            )
