"""What we say about a run: pure functions of its events. A killed run has a valid report too."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import events, junit, level, verdict
from harness.events import Event
from harness.level import Case, Stage
from harness.verdict import Verdict

SCHEMA = 1
MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "skip": "–", "unverified": "?"}


@dataclass(frozen=True, slots=True)
class Report:
    """One run, told. `phases` are seconds by phase, `seconds` is the whole run's wall time."""

    run: str
    recipe: str
    ref: str
    pr: str
    src: str
    lane: str
    version: str
    base_version: str
    abra: str
    stages: tuple[Stage, ...]
    cases: tuple[Case, ...]
    phases: Mapping[str, float]
    seconds: float
    level: int | None
    verdict: Verdict
    reason: str
    stage: str
    notes: tuple[str, ...]
    evidence: tuple[str, ...]
    repeat: str

    @property
    def failed(self) -> tuple[Case, ...]:
        """The cases that failed or erred."""
        return tuple(case for case in self.cases if case.outcome in ("fail", "error"))


def build(found: Sequence[Event]) -> Report:
    """Make the report of a run from its events, however far they go."""
    start = next((e for e in found if e.name == "run-started"), Event(0.0, "", {}))
    end = next((e for e in found if e.name == "run-finished"), None)
    cases = tuple(_case(e) for e in found if e.name == "case")
    planned = [str(name) for name in start.data.get("stages") or []]
    if not planned:
        planned = list(dict.fromkeys(case.stage for case in cases))
    stages = level.stages(planned, cases)
    ended = end.text("reason") if end else ""
    finished = end is not None and end.text("how") == "finished"
    judged = verdict.judge(cases, stages, finished=finished, ended=ended)
    lane = start.text("lane") or "cold"
    times = [e.t for e in found]
    return Report(
        run=start.text("run"),
        recipe=start.text("recipe"),
        ref=start.text("ref"),
        pr=start.text("pr"),
        src=start.text("src"),
        lane=lane,
        version=start.text("version"),
        base_version=start.text("base_version"),
        abra=start.text("abra"),
        stages=stages,
        cases=cases,
        phases=_phases(found),
        seconds=round(max(times) - min(times), 3) if times else 0.0,
        level=level.level(stages, lane) if finished else None,
        verdict=judged.verdict,
        reason=judged.reason,
        stage=judged.stage,
        notes=tuple(e.text("text") for e in found if e.name == "note"),
        evidence=tuple(e.text("path") for e in found if e.name == "evidence"),
        repeat=_repeat(start, lane),
    )


def _case(event: Event) -> Case:
    return Case(
        id=event.text("id"),
        stage=event.text("stage"),
        life=event.text("life"),
        outcome=event.text("outcome"),
        seconds=float(event.data.get("seconds") or 0.0),
        message=event.text("message"),
        details=event.text("details"),
        fault=event.text("fault"),
        structural=bool(event.data.get("structural")),
    )


def _phases(found: Sequence[Event]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for event in found:
        if event.name == "phase":
            name = event.text("phase")
            sums[name] = round(sums.get(name, 0.0) + float(event.data.get("seconds") or 0.0), 3)
    return sums


def _repeat(start: Event, lane: str) -> str:
    words = [
        "pytest recipes_tests",
        f"--recipe {start.text('recipe')}",
        f"--ref {start.text('ref')}",
    ]
    if start.text("src"):
        words.append(f"--src {start.text('src')}")
    return " ".join([*words, *(["--quick"] if lane == "quick" else [])])


def to_json(report: Report) -> str:
    """Return the report for machines."""
    body: dict[str, Any] = {"schema": SCHEMA, **asdict(report)}
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"


def to_markdown(report: Report) -> str:
    """Return the report for people, as Markdown that no text of an app can break out of."""
    lines = [f"# {report.recipe} {report.ref[:8]}: {headline(report)}", ""]
    if report.reason:
        lines += [f"**{report.stage or 'why'}**: {escape(report.reason)}", ""]
    lines += ["| | stage | seconds | |", "|---|---|---:|---|"]
    lines += [
        f"| {MARKS[s.outcome]} | {s.name} | {s.seconds:.1f} | {escape(s.reason)} |"
        for s in report.stages
    ]
    for case in report.failed:
        lines += ["", f"## {escape(case.id)}", "", escape(case.message)]
        lines += _fenced(case.details) if case.details else []
    phases = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.phases.items())
    lines += ["", f"Phases: {phases or 'none'}; {report.seconds:.1f} s in all.", ""]
    lines += [f"- {escape(note)}" for note in report.notes]
    lines += ["", "Repeat it:", "", "```", report.repeat, "```"]
    return "\n".join(lines) + "\n"


def headline(report: Report) -> str:
    """Return verdict and level in a few words."""
    words = f"{report.verdict.value}, {report.verdict.sentence}"
    if report.level is not None:
        words += f"; level {report.level}: {level.sentence(report.level)}"
    if report.lane == "quick":
        words += "; quick lane: lower confidence, no level"
    return words


def escape(text: str) -> str:
    """Return text without anything Markdown or a forge would act on, in one line."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]()<>#|!~])", r"\\\1", flat).replace("@", "@\u200b")


def _fenced(text: str) -> list[str]:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return ["", fence, *text.splitlines(), fence]


def read(folder: Path) -> Report:
    """Build the report of a run directory."""
    return build(events.read(folder / "events.jsonl"))


def write_all(folder: Path) -> Report:
    """Write report.json, summary.md and junit.xml of a run directory; return the report."""
    made = read(folder)
    texts = {
        "report.json": to_json(made),
        "summary.md": to_markdown(made),
        "junit.xml": junit.to_xml(made),
    }
    for name, text in texts.items():
        part = folder / f".{name}.part"
        part.write_text(text)
        os.replace(part, folder / name)
    return made
