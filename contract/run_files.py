"""Names of the files in a run directory."""

from __future__ import annotations

EVENTS = "events.jsonl"
REPORT = "report.json"
SUMMARY = "summary.md"
JUNIT = "junit.xml"
LOGS = "logs"  # folder
ABRA = "abra"  # folder: abra's data, with checkout and env files; removed at the end of the run
REPORTS = (REPORT, SUMMARY, JUNIT)  # in the order in which they are written
