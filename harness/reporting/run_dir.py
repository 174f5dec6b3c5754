"""Reports in run directories: read, write, and finish those of runs that died."""

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
    """Build the report of a run directory; one without events gives an empty report.

    Args:
        folder: the run directory.
        alive: the run's process is still alive.
        unwritten: events that are not in the file, since the disk is full.
    """
    stored = events.read(folder / run_files.EVENTS)
    found = (*stored.events, *unwritten)
    return build(found, alive=alive, unreadable=stored.unreadable, run=folder.name)


def write_all(folder: Path) -> Report:
    """Write the reports of a run directory from its events; return the report.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    report = read(folder)
    write(folder, report)
    return report


def write(folder: Path, report: Report) -> None:
    """Write report.json, summary.md and junit.xml.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    texts = (to_json(report), markdown.to_markdown(report), junit.to_xml(report))
    for name, text in zip(run_files.REPORTS, texts, strict=True):
        _replace(folder / name, text)


def without_reports(runs: Path) -> tuple[Path, ...]:
    """Return the directories of finished runs that have no reports."""
    folders = (path.parent for path in runs.glob(f"*/{run_files.EVENTS}"))
    bare = (folder for folder in folders if not (folder / run_files.JUNIT).exists())
    return tuple(folder for folder in bare if events.is_over(folder / run_files.EVENTS))


def finish_dead(folder: Path) -> Report:
    """Write the reports of a run that died; its verdict is at best "interrupted".

    Its secrets are no longer known. Its events, and logs named in them, were masked as they were
    written. All other files are removed, unless the secret scan ran before the run died.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = read(folder)
    log = EventLog(folder / run_files.EVENTS, now=lambda: found.finished)
    if found.no_secret_leak is None:
        known = {*run_files.REPORTS, run_files.EVENTS, *(item.path for item in found.evidence)}
        for name in secret_scan.keep_only(folder, known):
            log.write("note", text=f"'{name}' was removed, since it may hold a secret")
    log.write("run-finished", how="interrupted", reason="")
    log.close()
    shutil.rmtree(folder / run_files.ABRA, ignore_errors=True)
    return write_all(folder)


def _replace(path: Path, text: str) -> None:
    """Write a file under another name and rename it, so that no reader gets half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
