"""What we say about a run: pure functions of its events. A killed run has a valid report too."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contract import markdown, run_dir
from contract.markdown import escape
from contract.verdicts import Colour, CommitState, Verdict
from harness import plan
from harness.reporting import events, junit, level, secret_scan, verdict
from harness.reporting.events import Event, EventLog
from harness.reporting.level import UNTESTED, Case, Record, StageResult

SCHEMA = 1
MARKS = {"pass": "✓", "fail": "✗", "error": "✗", "skip": "–", "unverified": "?"}
UNSURE = (Verdict.TIMEOUT, Verdict.INFRA)  # say nothing final, so what they show lowers no level
LAST_LINES = 25  # of a failed case's details
LONGEST_LINE = 400  # characters
LONGEST_CELL = 160  # characters


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


# %% Recorder


def headline(report: Report) -> str:
    """Return verdict and level in a few words."""
    return f"{verdict_words(report)}; {level_words(report)}"


def verdict_words(report: Report) -> str:
    """Return the verdict with its meaning; a run that lives has none yet."""
    if report.running:
        return "still running"
    return f"{report.verdict.value}: {report.verdict.sentence}"


def level_words(report: Report) -> str:
    """Return the level with its meaning and the note on it."""
    if report.level is None:
        return report.level_note
    note = f" ({report.level_note})" if report.level_note else ""
    return f"level {report.level}: {level.sentence(report.level)}{note}"


def secrets_words(report: Report) -> str:
    """Return in words whether the run's secrets stayed out of its files."""
    if report.no_secret_leak is None:
        return "no last look for secrets: the run ended before it"
    if report.no_secret_leak:
        return "no secret of the run stands in any of its files"
    return f"A SECRET WAS FOUND and masked: {', '.join(report.leaks) or 'in the output'}"


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


def to_markdown(report: Report) -> str:
    """Return the report for people, as Markdown that no text of an app can break out of."""
    name = f"{report.recipe or 'run'} {report.short or report.run}"
    lines = [f"# {escape(name)}: {escape(verdict_words(report))}", ""]
    if report.reason:
        lines += [f"**{escape(report.stage or 'why')}**: {escape(report.reason)}", ""]
    lines += [escape(_sentence(level_words(report))), ""]
    if report.interrupted_in:
        lines += [f"Ended early, in: {escape(report.interrupted_in)}.", ""]
    lines += _stage_table(report.stages)
    for case in report.failed:
        place = ", ".join(part for part in (case.stage, case.life) if part)
        lines += ["", f"## {MARKS[case.outcome]} {escape(case.id)}", ""]
        lines += [f"In {escape(place)}: {escape(case.message or 'no message')}"]
        lines += ["", markdown.fence(last_lines(case.details))] if case.details else []
    lines += ["", f"Secrets: {escape(secrets_words(report))}.", ""]
    lines += [f"Phases: {escape(phases_line(report))}.", ""]
    lines += [f"- Note: {escape(note)}" for note in report.notes]
    lines += [
        f"- Evidence: {escape(item.kind)} {markdown.code_span(item.path)}"
        for item in report.evidence
    ]
    if report.repeat:
        lines += ["", "Repeat it:", "", markdown.fence([report.repeat])]
    return "\n".join(lines) + "\n"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _stage_table(stages: Sequence[StageResult]) -> list[str]:
    if not stages:
        return ["No stage was begun."]
    rows = [
        f"| {MARKS[s.outcome]} | {escape(s.name)} | {s.seconds:.1f} | {escape(cut(s.reason))} |"
        for s in stages
    ]
    return ["| | stage | seconds | |", "|---|---|---:|---|", *rows]


def phases_line(report: Report) -> str:
    """Return the time of each phase, the rest, and all of it, in one line."""
    told = [f"{name} {seconds:.1f}" for name, seconds in report.phases.items()]
    told.append(f"outside of phases {report.unaccounted:.1f}")
    return f"{', '.join(told)}; {report.seconds:.1f} s in all"


def last_lines(details: str) -> list[str]:
    """Return the last lines of a case's details, each cut to a length that can be read."""
    lines = [markdown.printable(line.rstrip())[:LONGEST_LINE] for line in details.splitlines()]
    return lines[-LAST_LINES:]


def cut(text: str) -> str:
    """Return a text that fits the cell of a table."""
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


# %% Run directories


def read(folder: Path, *, alive: bool = False, unwritten: Sequence[Event] = ()) -> Report:
    """Build the report of a run directory; one that holds no events gives an empty report.

    unwritten: events that a full disk did not take.
    """
    found = events.read_all(folder / run_dir.EVENTS)
    told = (*found.events, *unwritten)
    return build(told, alive=alive, broken=found.broken, run=folder.name)


def write_all(folder: Path) -> Report:
    """Write the reports of a run directory from its events; return the report.

    Raises:
        OSError: the disk does not take them.
    """
    made = read(folder)
    write(folder, made)
    return made


def write(folder: Path, made: Report) -> None:
    """Write report.json, summary.md and junit.xml.

    Raises:
        OSError: the disk does not take them.
    """
    texts = (to_json(made), to_markdown(made), junit.to_xml(made))
    for name, text in zip(run_dir.REPORTS, texts, strict=True):
        _replace(folder / name, text)


def without(runs: Path) -> tuple[Path, ...]:
    """Return the directories of runs that told their end and have no report."""
    folders = (path.parent for path in runs.glob(f"*/{run_dir.EVENTS}"))
    bare = (folder for folder in folders if not (folder / run_dir.JUNIT).exists())
    return tuple(folder for folder in bare if events.is_over(folder / run_dir.EVENTS))


def finish_dead(folder: Path) -> Report:
    """Finish the directory of a run that died: its report is at best one of an interruption.

    Nobody knows its secrets any more. What it wrote itself was masked as it was written; other files
    are removed, unless the run had come to its last look for secrets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = read(folder)
    log = EventLog(folder / run_dir.EVENTS, now=lambda: found.finished)
    if found.no_secret_leak is None:
        known = {*run_dir.REPORTS, run_dir.EVENTS, *(item.path for item in found.evidence)}
        for name in secret_scan.keep_only(folder, known):
            log.write(
                "note", text=f"'{name}' was removed: nobody can say whether it holds a secret"
            )
    log.write("run-finished", how="interrupted", reason="")
    log.close()
    shutil.rmtree(folder / secret_scan.WORKPLACE, ignore_errors=True)
    return write_all(folder)


def _replace(path: Path, text: str) -> None:
    """Write a file under another name and rename it, so that nobody ever reads half of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
