"""The end of a run, told to a person at a terminal."""

from __future__ import annotations

from pathlib import Path

from harness.report import MARKS, Report, headline

WIDTH = 78


def summary(report: Report, folder: Path) -> str:
    """Return the summary: stages, level, what failed and why, where everything is, how to repeat."""
    lines = [f"{report.recipe} {report.ref[:8]} ".ljust(WIDTH, "─")]
    lines += [
        f"  {MARKS[s.outcome]} {s.name:<11}{s.seconds:6.1f} s  {s.reason}".rstrip()
        for s in report.stages
    ]
    lines += ["", f"  {headline(report)}"]
    if report.reason:
        lines += [f"  {report.stage or 'why'}: {report.reason}"]
    for case in report.failed:
        lines += ["", f"  ✗ {case.id}: {case.message}"]
        lines += [f"      {line}" for line in case.details.splitlines()[-25:]]
    phases = ", ".join(f"{name} {seconds:.1f}" for name, seconds in report.phases.items())
    lines += ["", f"  phases (s): {phases}; {report.seconds:.1f} in all"]
    lines += [f"  note: {note}" for note in report.notes]
    lines += [f"  everything: {folder}", f"  again: {report.repeat}"]
    return "\n".join(lines)
