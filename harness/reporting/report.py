"""The report of a run, built from its events alone; a killed run has a valid report too."""

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
from harness.reporting.level import NO_FUNCTIONAL_TEST, Case, RunEvents, StageResult

SCHEMA = 1
BEFORE_FIRST_STAGE = "before its first stage"
INCONCLUSIVE = (Verdict.TIMEOUT, Verdict.INFRA)  # their level is shown but does not count


@dataclass(frozen=True, slots=True)
class Evidence:
    """A saved file: its kind, and its path within the run directory."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Report:
    """One run, finished or not. Times are seconds.

    Attributes:
        partial: some stages of the lane were not planned.
        running: the run goes on; verdict and level are as if it stopped now.
        phases: seconds of each phase; a phase within another counts in both.
        lives: the same for each life, and under "" for phases outside of a life.
        started: unix seconds of the first event.
        finished: unix seconds of the last event.
        unaccounted: seconds outside of all phases.
        level: None if the run has no level.
        level_note: why there is no level or no higher one, or why it does not count.
        stage: the stage that decided the verdict, "" if none did.
        interrupted_in: the stage in which the run was interrupted, "" if it was not.
        repeat: the command that runs the same tests again.
        no_secret_leak: the secret scan found nothing; None if it did not run.
        leaks: files in which the secret scan found something.
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
        """The cases that failed, had an error, or are unverified through a fault."""
        return tuple(
            case
            for case in self.cases
            if case.outcome in ("fail", "error") or (case.outcome == "unverified" and case.fault)
        )

    @property
    def short_ref(self) -> str:
        """The first eight digits of the commit."""
        return self.ref[:8]

    @property
    def colour(self) -> Colour:
        """The colour of the verdict; grey while the run goes on."""
        return "grey" if self.running else self.verdict.colour

    @property
    def commit_state(self) -> CommitState:
        """The state of the commit status at the forge, once the run has finished."""
        return self.verdict.commit_state


# %% Building


def build(
    found: Sequence[Event], *, alive: bool = False, unreadable: int = 0, run: str = ""
) -> Report:
    """Build the report of a run from its events; they may stop at any point.

    Args:
        found: the events.
        alive: the run's process is still alive.
        unreadable: number of lines of the events file that are not events.
        run: the run's id, for a run that died before its first event.
    """
    events = level.gather(found)
    judged = verdict.judge(events)
    start, times = events.start, [event.t for event in found]
    begin, end = (min(times), max(times)) if times else (0.0, 0.0)
    reached, note = _level(events, judged.verdict)
    running = alive and events.end is None
    cut_short = not running and (events.end is None or judged.verdict is Verdict.INTERRUPTED)
    return Report(
        run=start.text("run") or run,
        recipe=start.text("recipe"),
        ref=start.text("ref"),
        pr=start.text("pr"),
        src=start.text("src"),
        lane=events.lane,
        version=start.text("version"),
        base_version=start.text("base_version"),
        abra=start.text("abra"),
        partial=start is not level.NO_EVENT and not events.whole,
        running=running,
        stages=tuple(events.stages.values()),
        cases=events.cases,
        phases=_sums(event for event in found if event.name == "phase"),
        lives=_lives(found),
        started=begin,
        finished=end,
        seconds=round(end - begin, 3),
        unaccounted=_unaccounted(found, begin, end),
        level=reached,
        level_note=note,
        verdict=judged.verdict,
        reason=f"now {verdict.where(events)}" if running else judged.reason,
        stage=judged.stage,
        interrupted_in=(events.last_stage or BEFORE_FIRST_STAGE) if cut_short else "",
        notes=_notes(found, start, unreadable),
        evidence=_evidence(found),
        repeat=_repeat(events),
        no_secret_leak=events.no_secret_leak,
        leaks=events.scan.texts("files") if events.scan else (),
    )


def _level(events: RunEvents, judged: Verdict) -> tuple[int | None, str]:
    """Return the level and the note on it; see `Report`."""
    if events.lane == "quick":
        return None, "quick lane: lower confidence, no level"
    if events.start is not level.NO_EVENT and not events.whole:
        return None, "partial run: no level"
    if events.end is None or judged in (Verdict.INTERRUPTED, Verdict.CANCELLED):
        return None, "the run did not finish: no level"
    if judged in INCONCLUSIVE:
        return level.level(events.stages), f"does not count: {judged.sentence}"
    return level.level(events.stages), _cap(level.capped_by(events.stages))


def _cap(stage: StageResult | None) -> str:
    if stage is None:
        return ""
    if stage.reason == NO_FUNCTIONAL_TEST:
        return f"capped: {NO_FUNCTIONAL_TEST}"
    return f"capped: {stage.name} {'failed' if stage.outcome == 'fail' else 'is unverified'}"


def _sums(phases: Iterable[Event]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for event in phases:
        name = event.text("phase") or "unnamed"
        sums[name] = round(sums.get(name, 0.0) + event.number("seconds"), 3)
    return sums


def _lives(found: Sequence[Event]) -> dict[str, dict[str, float]]:
    """Return the seconds of the phases of each life; "" is for phases outside of a life."""
    phases = [event for event in found if event.name == "phase"]
    names = dict.fromkeys(event.text("life") for event in phases)
    return {life: _sums(e for e in phases if e.text("life") == life) for life in names}


def _unaccounted(found: Sequence[Event], begin: float, end: float) -> float:
    """Return the seconds outside of all phases; the event of a phase is written at its end."""
    spans = sorted((e.t - e.number("seconds"), e.t) for e in found if e.name == "phase")
    covered, upto = 0.0, begin
    for first, last in spans:
        covered += max(0.0, last - max(first, upto))
        upto = max(upto, last)
    return round(max(0.0, end - begin - covered), 3)


def _notes(found: Sequence[Event], start: Event, unreadable: int) -> tuple[str, ...]:
    notes = [*start.texts("notes"), *(e.text("text") for e in found if e.name == "note")]
    if unreadable:
        notes.append(f"{unreadable} line(s) of the run's events are unreadable and left out")
    return tuple(dict.fromkeys(notes))


def _evidence(found: Sequence[Event]) -> tuple[Evidence, ...]:
    seen = [Evidence(e.text("kind"), e.text("path")) for e in found if e.name == "evidence"]
    return tuple(dict.fromkeys(seen))


def _repeat(events: RunEvents) -> str:
    """Return the command that runs the same tests again, "" if the recipe is not known."""
    start = events.start
    if not start.text("recipe"):
        return ""
    words = ["pytest", "recipes_tests", "--recipe", start.text("recipe")]
    for option in ("ref", "src"):
        words += [f"--{option}", start.text(option)] if start.text(option) else []
    if not events.whole:
        stages = [name for name in plan.STAGES if name in start.texts("stages")]
        words += ["--stages", ",".join(stages)] if stages else []
    return shlex.join([*words, *(["--quick"] if events.lane == "quick" else [])])


# %% Serialising


def to_json(report: Report) -> str:
    """Return the report as JSON, with the meaning of verdict and level."""
    body: dict[str, Any] = {"schema": SCHEMA, **asdict(report)}
    body |= {
        "verdict_sentence": report.verdict.sentence,
        "level_sentence": "" if report.level is None else level.sentence(report.level),
        "colour": report.colour,
        "exit_status": report.verdict.exit_code,
        "commit_state": report.commit_state,
    }
    return json.dumps(body, indent=1, ensure_ascii=False) + "\n"
