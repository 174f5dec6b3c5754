"""The marked line of a finished run: short, no matter what an app printed."""

from __future__ import annotations

import json

from contract.marker import MARKER
from contract.report_line import MAX_CASE_LINE, MAX_CASE_LINES, MAX_FAILED, MAX_NOTES, MAX_TEXT
from harness.reporting import report, report_line
from harness.reporting.events import Event
from tests.support.event_factory import case, run

LONG = "x\u2028" * 1000


def test_the_line_of_a_finished_run_is_one_short_line_of_ascii() -> None:
    """Texts of an app are cut, and there is a limit on their number."""
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
    assert line.startswith(MARKER) and line.isascii() and len(line.splitlines()) == 1
    body = json.loads(line.removeprefix(MARKER))
    assert (len(body["failed"]), body["failed_in_all"]) == (MAX_FAILED, 50)
    assert len(body["notes"]) == MAX_NOTES
    first = body["failed"][0]
    assert {len(first["id"]), len(first["message"]), len(body["notes"][0])} == {MAX_TEXT}
    assert len(first["lines"]) == MAX_CASE_LINES
    assert max(map(len, first["lines"])) <= MAX_CASE_LINE
    assert "\x1b" not in "".join(first["lines"])
