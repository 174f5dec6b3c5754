"""Values of `bridge.model` as rows of the database: column names and JSON in one place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from bridge.model import Command, CommandComment, Progress, Reply, Result, Run
from contract.report_line import RunReport
from contract.verdicts import Verdict

# Columns whose name is not that of the attribute.
RUN_COLUMNS = {
    "requester": "person",
    "last_build_before": "newest",
    "position": "place",
    "cancel_reason": "cancel",
    "result": "verdict",
    "finished": "ended",
    "published": "status",
}
RUN_ATTRIBUTES = tuple(f.name for f in fields(Run))


def run_columns(values: Mapping[str, object]) -> dict[str, Any]:
    """Return attributes of a run as columns with their values."""
    found = {RUN_COLUMNS.get(name, name): _encode(value) for name, value in values.items()}
    if "result" in values and values["result"] is None:
        found[RUN_COLUMNS["result"]] = ""
    return found


def run_values(run: Run) -> dict[str, Any]:
    """Return all columns of a run except its id."""
    return run_columns({name: getattr(run, name) for name in RUN_ATTRIBUTES if name != "id"})


def run(row: sqlite3.Row) -> Run:
    """Return the run in a row; the report in it is validated here and nowhere else."""
    values = {name: row[RUN_COLUMNS.get(name, name)] for name in RUN_ATTRIBUTES}
    progress, result = _progress(values["progress"]), _result(values["result"])
    return Run(**{**values, "progress": progress, "result": result})


def command_comment(row: sqlite3.Row) -> CommandComment:
    """Return the comment in a row."""
    return CommandComment(
        row["id"],
        row["repo"],
        row["pr"],
        row["person"],
        Command(row["command"]),
        row["created"],
        row["head"],
    )


def reply(row: sqlite3.Row) -> Reply:
    """Return the reply in a row."""
    return Reply(row["comment"], row["repo"], row["pr"], row["body"], bool(row["tried"]))


def _encode(value: object) -> object:
    if isinstance(value, Progress):
        return json.dumps(asdict(value))
    if isinstance(value, Result):
        report = value.report.model_dump(mode="json") if value.report else None
        row = {"name": value.verdict, "state": value.state, "text": value.reason, "report": report}
        return json.dumps(row)
    return value


def _progress(text: str) -> Progress:
    row = json.loads(text)
    known = {f.name for f in fields(Progress)}
    values = {key: value for key, value in row.items() if key in known}
    return Progress(**{**values, "stages": tuple(values.get("stages", ()))})


def _result(text: str) -> Result | None:
    if not text:
        return None
    row = json.loads(text)
    report = RunReport.model_validate(row["report"]) if row["report"] else None
    return Result(Verdict(row["name"]), row["state"], row["text"], report)
