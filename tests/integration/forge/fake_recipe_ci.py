"""A fake run: the Drone step runs this instead of pytest; it prints marked lines made by the harness.

The file `<SCRIPTS>/<REF>.json` is its script: {"fail": stage that fails, "exit": exit code without a report,
"noise": lines that an app would print, "full_disk": number of attempts that find the disk full}.
It waits before its second stage while `<SCRIPTS>/<REF>.hold` exists.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import plan
from harness.reporting import events, report, report_line

ENV = os.environ
SCRIPTS = Path(ENV["SCRIPTS"])
REF = ENV["REF"]
QUICK_STAGES = ("lint", "functional", "upgrade", "cleanup")
MAX_HOLD = 120.0  # seconds
Record = Callable[..., None]


def print_line(line: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def attempts() -> int:
    """Return the number of earlier attempts for this commit, and count this one."""
    file = SCRIPTS / f"{REF}.tried"
    before = int(file.read_text()) if file.exists() else 0
    file.write_text(str(before + 1))
    return before


def wait_while_held() -> None:
    """Wait while the file `<SCRIPTS>/<REF>.hold` exists."""
    end = time.monotonic() + MAX_HOLD
    while (SCRIPTS / f"{REF}.hold").exists() and time.monotonic() < end:
        time.sleep(0.02)


def print_stages(record: Record, script: Mapping[str, Any], stages: Sequence[str]) -> None:
    """Record a case for each stage; the run stops in `install` if the disk is full."""
    full_disk = attempts() < script.get("full_disk", 0)
    for number, stage in enumerate(stages):
        record("stage-started", stage=stage, life="fresh")
        if number == 1:
            wait_while_held()
        if full_disk and stage == "install":
            error = {"fault": "infra", "message": "only 0.0 MiB are free in '/var/lib/docker'"}
            record("case", id="test_install", stage=stage, outcome="fail", seconds=0.1, **error)
            return
        fails = script.get("fail") == stage
        record(
            "case",
            id=f"test_{stage}",
            stage=stage,
            life="fresh",
            outcome="fail" if fails else "pass",
            seconds=0.1,
            message="@alice [x](http://evil) `oops` | no page" if fails else None,
            details="app.log line 1\n```\n@alice line 2" if fails else None,
            fault="recipe" if fails else None,
        )


def main() -> int:
    """Print one run; return the exit code that pytest would have."""
    file = SCRIPTS / f"{REF}.json"
    script = json.loads(file.read_text()) if file.exists() else {}
    quick = ENV.get("CCCI_QUICK") == "1"
    stages = [s for s in plan.STAGES if s in QUICK_STAGES or not quick]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        log = events.EventLog(path)

        def record(name: str, **data: object) -> None:
            line = events.marked(log.write(name, **data))
            if line:
                print_line(line)

        record(
            "run-started",
            run=ENV["DRONE_BUILD_NUMBER"],
            recipe=ENV["RECIPE"],
            ref=script.get("ref", REF),
            pr=ENV["PR"],
            src=ENV["SRC"],
            lane="quick" if quick else "cold",
            stages=stages,
            version="1.1.0+2",
            base_version="1.0.0+1",
        )
        for line in script.get("noise", []):
            print_line(line)
        print_stages(record, script, stages)
        if "exit" in script:
            return int(script["exit"])
        record("run-finished", how="finished", reason="")
        made = report.build(events.read(path).events)
        print_line(report_line.line(made))
        return made.verdict.exit_code


sys.exit(main())
