"""Reports in run directories: read, write, and finish those of crashed runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from contract import run_files
from harness.reporting import events, junit, markdown, secret_scan
from harness.reporting.events import Event, EventLog
from harness.reporting.report import Report, build, to_json


def read(folder: Path, *, alive: bool = False, unwritten: Sequence[Event] = ()) -> Report:
    """Build the report of a run directory; one that holds no events gives an empty report.

    unwritten: events that a full disk did not take.
    """
    found = events.read_all(folder / run_files.EVENTS)
    told = (*found.events, *unwritten)
    return build(told, alive=alive, broken=found.broken, run=folder.name)


def write_all(folder: Path) -> Report:
    """Write the reports of a run directory from its events; return the report.

    Raises:
        OSError: the disk does not take them.
    """
    made = read(folder)
    write(folder, made)
    return made


def write(folder: Path, made: Report) -> None:
    """Write report.json, summary.md and junit.xml.

    Raises:
        OSError: the disk does not take them.
    """
    texts = (to_json(made), markdown.to_markdown(made), junit.to_xml(made))
    for name, text in zip(run_files.REPORTS, texts, strict=True):
        _replace(folder / name, text)


def without(runs: Path) -> tuple[Path, ...]:
    """Return the directories of runs that told their end and have no report."""
    folders = (path.parent for path in runs.glob(f"*/{run_files.EVENTS}"))
    bare = (folder for folder in folders if not (folder / run_files.JUNIT).exists())
    return tuple(folder for folder in bare if events.is_over(folder / run_files.EVENTS))


def finish_dead(folder: Path) -> Report:
    """Finish the directory of a run that died: its report is at best one of an interruption.

    Nobody knows its secrets any more. What it wrote itself was masked as it was written; other files
    are removed, unless the run had come to its last look for secrets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = read(folder)
    log = EventLog(folder / run_files.EVENTS, now=lambda: found.finished)
    if found.no_secret_leak is None:
        known = {*run_files.REPORTS, run_files.EVENTS, *(item.path for item in found.evidence)}
        for name in secret_scan.keep_only(folder, known):
            log.write(
                "note", text=f"'{name}' was removed: nobody can say whether it holds a secret"
            )
    log.write("run-finished", how="interrupted", reason="")
    log.close()
    shutil.rmtree(folder / secret_scan.WORKPLACE, ignore_errors=True)
    return write_all(folder)


def _replace(path: Path, text: str) -> None:
    """Write a file under another name and rename it, so that nobody ever reads half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
