"""A run with its directory and its record, of which nothing is fetched or deployed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness import settings
from harness.runs.run import Request, Run
from harness.suites.collect import Suite
from harness.suites.suite_settings import SuiteSettings


def bare_run(folder: Path, console: Callable[[str], None]) -> Run:
    """Begin a run below a folder; console: takes the lines that it prints."""
    run = Run(
        settings=settings.load({"CCCI_RUNS_DIR": str(folder), "CCCI_SETTINGS": "/dev/null"}),
        request=Request(ref="0123abcd" * 5),
        recipe="custom-html",
        id="7",
        suite=Suite(),
        suite_settings=SuiteSettings(),
        stages=("install", "cleanup"),
        console=console,
    )
    run.start_record()
    return run
