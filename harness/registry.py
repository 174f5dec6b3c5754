"""Which run holds which app: one file per domain, written before the app is made.

While the run lives it holds a flock on its entry. A process id alone is no proof of life: it may have
been given to another program, so its start time counts too (/proc/<pid>/stat, field 22).
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from harness import lock
from harness.errors import InfraError
from harness.settings import Settings


@dataclass
class Entry:
    """One app's entry. Times are unix seconds; `keep_until` is 0 for apps that nobody keeps."""

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
    held: FileLock | None = field(default=None, compare=False)

    def close(self) -> None:
        """Give the entry up."""
        if self.held is not None:
            self.held.release()
            self.held = None


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str:
    """Return when a process started, in clock ticks since boot; "" when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text.rpartition(")")[2].split()[19]


def register(
    settings: Settings, *, domain: str, stack: str, run: str, run_dir: Path, recipe: str, life: str
) -> Entry:
    """Write the entry of an app that is about to be made, and hold it.

    Raises:
        InfraError: another living run holds this domain.
    """
    path = settings.active_dir / domain
    held = lock.try_take(path.with_name(f".{domain}.lock"), None)
    if held is None:
        raise InfraError(f"the domain '{domain}' is held by another run")
    pid = os.getpid()
    entry = Entry(
        domain, stack, run, str(run_dir), recipe, life, pid, start_time(pid), boot_id(), time.time()
    )
    entry.held = held
    try:
        _write(path, entry)
    except OSError as error:
        entry.close()
        raise InfraError(f"cannot register '{domain}' in '{path}': {error.strerror}") from error
    return entry


def entries(settings: Settings) -> list[Entry]:
    """Return all entries; an unreadable one is left out and stays."""
    found = []
    for path in sorted(settings.active_dir.glob("*")):
        if path.name.startswith("."):
            continue
        try:
            found.append(Entry(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue
    return found


def owner_alive(settings: Settings, entry: Entry) -> bool:
    """Say whether the run that wrote an entry still lives."""
    if lock.is_held(settings.active_dir / f".{entry.domain}.lock"):
        return True
    return (
        entry.boot == boot_id() and bool(entry.started) and start_time(entry.pid) == entry.started
    )


def keep(settings: Settings, domain: str, *, until: float) -> None:
    """Let an app stay until a time although its run ends (0: no longer)."""
    for entry in entries(settings):
        if entry.domain == domain:
            _write(settings.active_dir / domain, replace(entry, keep_until=until))


def forget(settings: Settings, domain: str) -> None:
    """Remove an app's entry; the app is gone."""
    for name in (domain, f".{domain}.lock"):
        (settings.active_dir / name).unlink(missing_ok=True)


def _write(path: Path, entry: Entry) -> None:
    part = path.with_name(f".{path.name}.part")
    plain = replace(entry, held=None)
    part.write_text(json.dumps({k: v for k, v in asdict(plain).items() if k != "held"}) + "\n")
    os.replace(part, path)
