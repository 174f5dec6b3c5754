"""Names of the files in a run directory."""

from __future__ import annotations

EVENTS = "events.jsonl"
REPORT = "report.json"
SUMMARY = "summary.md"
JUNIT = "junit.xml"
LOGS = "logs"  # folder
REPORTS = (REPORT, SUMMARY, JUNIT)  # in the order in which they are written
