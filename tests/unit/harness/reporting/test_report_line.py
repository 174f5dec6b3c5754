"""The marked line of a finished run: one short line of ASCII, whatever an application wrote."""

from __future__ import annotations

import json

from harness.reporting import events, report, report_line
from harness.reporting.events import Event
from tests.support.event_factory import case, run

LONG = "x\u2028" * 1000


def test_the_line_of_a_finished_run_is_short_and_plain() -> None:
    """Everything in it that an application wrote is cut, and there is only so much of it."""
    failed = [
        case(
            "install",
            "fail",
            fault="recipe",
            id=f"{n}{LONG}",
            message=LONG,
            details=f"\x1b[31m{LONG}\n" * 30,
        )
        for n in range(50)
    ]
    notes = [Event(1.0, "note", {"text": f"{n}{LONG}"}) for n in range(50)]
    line = report_line.line(report.build([*run(*failed), *notes]))
    assert line.startswith(events.MARK) and line.isascii() and len(line.splitlines()) == 1
    body = json.loads(line.removeprefix(events.MARK))
    assert (len(body["failed"]), body["failed_in_all"]) == (report_line.FAILED_TOLD, 50)
    assert len(body["notes"]) == report_line.NOTES_TOLD
    first = body["failed"][0]
    assert {len(first["id"]), len(first["message"]), len(body["notes"][0])} == {events.LONGEST_TOLD}
    assert len(first["lines"]) == report_line.LINES_TOLD
    assert max(map(len, first["lines"])) <= report_line.LINE_TOLD
    assert "\x1b" not in "".join(first["lines"])
