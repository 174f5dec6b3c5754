"""The record of a run that has begun; nothing is fetched or deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import settings
from harness.runs.record import Request, RunPlan, RunRecord


def bare_run(folder: Path, console: Callable[[str], None]) -> RunRecord:
    """Begin run "7" below a folder.

    Args:
        folder: the folder of all runs.
        console: receives the lines that the run prints.
    """
    found = settings.load({"CCCI_RUNS_DIR": str(folder), "CCCI_SETTINGS": "/dev/null"})
    plan = RunPlan("custom-html", stages=("install", "cleanup"))
    return RunRecord.begin(found, Request(ref="0123abcd" * 5), plan, "7", console)
