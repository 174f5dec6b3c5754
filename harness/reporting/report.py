"""What we say about a run: pure functions of its events. A killed run has a valid report too."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from contract.verdicts import Colour, CommitState, Verdict
from harness import plan
from harness.reporting import level, verdict
from harness.reporting.events import Event
from harness.reporting.level import UNTESTED, Case, Record, StageResult

SCHEMA = 1
UNSURE = (Verdict.TIMEOUT, Verdict.INFRA)  # say nothing final, so what they show lowers no level


@dataclass(frozen=True, slots=True)
class Evidence:
    """Something saved: its kind, and its path within the run directory."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """One run, told.

    Times are seconds, `started` and `finished` unix seconds. A phase within another counts in both;
    `unaccounted` is the time in no phase. `level_note` says why there is no level, why not a higher
    one, or why it does not count. While the run lives (`running`), verdict and level are what they
    would be if it ended here. `no_secret_leak` is None where the run ended before it could look.
    """

    run: str
    recipe: str
    ref: str
    pr: str
    src: str
    lane: str
    version: str
    base_version: str
    abra: str
    partial: bool
    running: bool
    stages: tuple[StageResult, ...]
    cases: tuple[Case, ...]
    phases: Mapping[str, float]
    lives: Mapping[str, Mapping[str, float]]
    started: float
    finished: float
    seconds: float
    unaccounted: float
    level: int | None
    level_note: str
    verdict: Verdict
    reason: str
    stage: str
    interrupted_in: str
    notes: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    repeat: str
    no_secret_leak: bool | None
    leaks: tuple[str, ...]

    @property
    def failed(self) -> tuple[Case, ...]:
        """The cases that failed, erred, or could not run for a fault of their own."""
        return tuple(
            case
            for case in self.cases
            if case.outcome in ("fail", "error") or (case.outcome == "unverified" and case.fault)
        )

    @property
    def short(self) -> str:
        """The first eight digits of the commit."""
        return self.ref[:8]

    @property
    def colour(self) -> Colour:
        """The colour the run is shown in; grey while it lives."""
        return "grey" if self.running else self.verdict.colour

    @property
    def commit_state(self) -> CommitState:
        """The state of the commit at the forge, once the run has ended."""
        return self.verdict.commit_state


# %% Building


def build(found: Sequence[Event], *, alive: bool = False, broken: int = 0, run: str = "") -> Report:
    """Make the report of a run from its events, however far they go.

    alive: its process still lives. broken: lines of its file that are no events. run: its id, for a
    run that ended before it could say.
    """
    record = level.gather(found)
    judged = verdict.judge_record(record)
    start, times = record.start, [event.t for event in found]
    begin, end = (min(times), max(times)) if times else (0.0, 0.0)
    reached, note = _level(record, judged.verdict)
    running = alive and record.end is None
    cut_short = not running and (record.end is None or judged.verdict is Verdict.INTERRUPTED)
    return Report(
        run=start.text("run") or run,
        recipe=start.text("recipe"),
        ref=start.text("ref"),
        pr=start.text("pr"),
        src=start.text("src"),
        lane=record.lane,
        version=start.text("version"),
        base_version=start.text("base_version"),
        abra=start.text("abra"),
        partial=start is not level.NOTHING and not record.whole,
        running=running,
        stages=tuple(record.stages.values()),
        cases=record.cases,
        phases=_sums(event for event in found if event.name == "phase"),
        lives=_lives(found),
        started=begin,
        finished=end,
        seconds=round(end - begin, 3),
        unaccounted=_unaccounted(found, begin, end),
        level=reached,
        level_note=note,
        verdict=judged.verdict,
        reason=f"now {verdict.where(record)}" if running else judged.reason,
        stage=judged.stage,
        interrupted_in=(record.ended_in or "before its first stage") if cut_short else "",
        notes=_notes(found, start, broken),
        evidence=_evidence(found),
        repeat=_repeat(record),
        no_secret_leak=record.no_secret_leak,
        leaks=record.scan.texts("files") if record.scan else (),
    )


def _level(record: Record, judged: Verdict) -> tuple[int | None, str]:
    """Return the level with the note on it; see `Report`."""
    if record.lane == "quick":
        return None, "quick lane: lower confidence, no level"
    if record.start is not level.NOTHING and not record.whole:
        return None, "partial run: no level"
    if record.end is None or judged in (Verdict.INTERRUPTED, Verdict.CANCELLED):
        return None, "the run did not come to its end: no level"
    if judged in UNSURE:
        return level.level(record.stages), f"does not count: {judged.sentence}"
    return level.level(record.stages), _cap(level.capped_by(record.stages))


def _cap(stage: StageResult | None) -> str:
    if stage is None:
        return ""
    if stage.reason == UNTESTED:
        return f"not higher: {UNTESTED}"
    return f"not higher: {stage.name} {'failed' if stage.outcome == 'fail' else 'is unverified'}"


def _sums(phases: Iterable[Event]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for event in phases:
        name = event.text("phase") or "unnamed"
        sums[name] = round(sums.get(name, 0.0) + event.number("seconds"), 3)
    return sums


def _lives(found: Sequence[Event]) -> dict[str, dict[str, float]]:
    """Return the phases of each life; those of no life stand under ""."""
    phases = [event for event in found if event.name == "phase"]
    names = dict.fromkeys(event.text("life") for event in phases)
    return {life: _sums(e for e in phases if e.text("life") == life) for life in names}


def _unaccounted(found: Sequence[Event], begin: float, end: float) -> float:
    """Return the seconds that lie in no phase; a phase's event is written at its end."""
    spans = sorted((e.t - e.number("seconds"), e.t) for e in found if e.name == "phase")
    covered, upto = 0.0, begin
    for first, last in spans:
        covered += max(0.0, last - max(first, upto))
        upto = max(upto, last)
    return round(max(0.0, end - begin - covered), 3)


def _notes(found: Sequence[Event], start: Event, broken: int) -> tuple[str, ...]:
    told = [*start.texts("notes"), *(e.text("text") for e in found if e.name == "note")]
    if broken:
        told.append(f"{broken} line(s) of the run's events could not be read and are left out")
    return tuple(dict.fromkeys(told))


def _evidence(found: Sequence[Event]) -> tuple[Evidence, ...]:
    seen = [Evidence(e.text("kind"), e.text("path")) for e in found if e.name == "evidence"]
    return tuple(dict.fromkeys(seen))


def _repeat(record: Record) -> str:
    """Return the command for just this again, "" where the run never said what it was."""
    start = record.start
    if not start.text("recipe"):
        return ""
    words = ["pytest", "recipes_tests", "--recipe", start.text("recipe")]
    for option in ("ref", "src"):
        words += [f"--{option}", start.text(option)] if start.text(option) else []
    if not record.whole:
        stages = [name for name in plan.STAGES if name in start.texts("stages")]
        words += ["--stages", ",".join(stages)] if stages else []
    return shlex.join([*words, *(["--quick"] if record.lane == "quick" else [])])


# %% Serialising


def to_json(report: Report) -> str:
    """Return the report for machines, with what the verdict means beside it."""
    body: dict[str, Any] = {"schema": SCHEMA, **asdict(report)}
    body |= {
        "verdict_sentence": report.verdict.sentence,
        "level_sentence": "" if report.level is None else level.sentence(report.level),
        "colour": report.colour,
        "exit_status": report.verdict.exit_code,
        "commit_state": report.commit_state,
    }
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"
