"""Records a run: writes its events, prints progress, writes the reports at the end.

Everything is redacted first. In a Drone build some events are also printed as marked lines, for readers
that only have the build log.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from contract import run_files
from contract.verdicts import OUTCOMES, Verdict
from harness.errors import InfraError
from harness.plan import LANE_STAGES, STAGES, Lane, Step
from harness.reporting import events, report, report_line, run_dir, terminal, words
from harness.reporting.events import EventLog
from harness.reporting.level import SUPERFICIAL
from harness.reporting.report import Report
from harness.secret import Redactor
from harness.suites.outcome import Outcome

# Words of every report; a secret with the same text is not masked there.
WORDS = (*STAGES, *OUTCOMES, *LANE_STAGES, *Verdict, *events.PUBLIC_EVENTS)
MAX_MESSAGE = 4_000  # characters of a case's message
MAX_DETAILS = 64_000  # characters of a case's details, counted from the end


class Recorder:
    """Records one run; its events are the only source of all reports.

    Attributes:
        redactor: masks the run's secrets, once it has learned them.
        failed: a case failed or had an error.
        leaked: a secret was about to be printed; it was masked.
    """

    def __init__(
        self, folder: Path, *, recipe: str, lane: Lane, console: Callable[[str], None]
    ) -> None:
        """Open the file of events in a run's directory.

        Args:
            folder: the run's directory.
            recipe: the recipe under test, printed in each line.
            lane: the run's lane.
            console: prints one line immediately.

        Raises:
            InfraError: the file cannot be written.
        """
        self.redactor = Redactor(words=(*WORDS, recipe))
        self.events = EventLog(folder / run_files.EVENTS, scrub=self.redactor.scrub)
        self.failed = False
        self.leaked = False
        self._folder, self._recipe, self._lane = folder, recipe, lane
        self._console = console
        self._started = time.time()
        self._stage = ("", "")

    @property
    def write_error(self) -> str:
        """Why events can no longer be recorded, "" while they can."""
        return self.events.write_error

    def scrub(self, text: str) -> str:
        """Return a text without the run's secrets."""
        return self.redactor.scrub(text)

    def close(self) -> None:
        """Close the file of events; reports can still be made."""
        self.events.close()

    # %% Events

    def record(self, event: str, /, **data: object) -> None:
        """Record an event; in a Drone build also print it as a marked line."""
        line = events.marked(self.events.write(event, **data))
        if line and os.environ.get("DRONE"):
            self._print(line)

    def start_stage(self, stage: str, life: str) -> None:
        """Record the start of a stage, once.

        Raises:
            InfraError: events can no longer be recorded; only the cleanup continues.
        """
        if self.write_error and stage != "cleanup":
            raise InfraError(self.write_error)
        if (stage, life) != self._stage:
            self._stage = (stage, life)
            self.record("stage-started", stage=stage, life=life or None)

    @contextlib.contextmanager
    def phase(self, name: str, life: str = "") -> Iterator[None]:
        """Time a phase, also when it fails."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._phase(name, life, time.monotonic() - start)

    def progress(self, text: str, life: str = "") -> None:
        """Print a line immediately and record it."""
        clean = self.scrub(text)
        self.events.write("state", life=life or None, text=clean)
        self._show(clean, life)

    def note(self, text: str) -> None:
        """Record a remark that belongs into the report, and print it."""
        clean = self.scrub(text)
        self.events.write("note", text=clean)
        self._show(f"note: {clean}")

    def keep_log(self, life: str, name: str, text: str) -> None:
        """Write a service's log into the run's `logs/`.

        Raises:
            OSError: the file cannot be written.
        """
        path = self._folder / run_files.LOGS / f"{life}-{name}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.scrub(text), errors="replace")
        self.events.write("evidence", kind="log", path=str(path.relative_to(self._folder)))

    def case(self, name: str, step: Step, outcome: Outcome, *, seconds: float) -> None:
        """Record one case as an event and print it."""
        self.failed = self.failed or outcome.kind in ("fail", "error")
        message = self.scrub(outcome.message or "")[:MAX_MESSAGE] or None
        details = self.scrub(outcome.details or "")[-MAX_DETAILS:] or None
        life = step.life(self._lane)
        self.record(
            "case",
            id=name,
            stage=step.stage,
            life=life or None,
            outcome=outcome.kind,
            seconds=round(seconds, 3),
            message=message,
            details=details,
            fault=outcome.fault,
            structural=outcome.structural,
        )
        self._show(f"{words.MARKS[outcome.kind]} {name} ({seconds:.1f} s)", life)
        if message and (outcome.fault or outcome.kind == "skip"):
            self._show(f"    {message}", life)

    def control(
        self, name: str, step: Step, kind: str, why: str, *, life: str, seconds: float
    ) -> None:
        """Record a negative control; one that passed against the stopped app is also a case."""
        self._phase("control", life, seconds)
        self.record(
            "control", id=name, outcome=kind, seconds=round(seconds, 3), message=why or None
        )
        if kind == "superficial":
            self.case(name, step, Outcome("unverified", "suite", SUPERFICIAL), seconds=seconds)

    def _phase(self, name: str, life: str, seconds: float) -> None:
        self.events.write("phase", phase=name, life=life or None, seconds=round(seconds, 3))

    def _show(self, text: str, life: str = "") -> None:
        elapsed = time.time() - self._started
        self._print(terminal.progress_line(elapsed, self._recipe, life, text))

    def _print(self, line: str) -> None:
        """Print a line; one that still contains a secret is masked and counts as a leak."""
        clean = self.scrub(line)
        self.leaked = self.leaked or clean != line
        self._console(clean)

    # %% The end of the run

    def restore_events(self) -> None:
        """Undo changes that anything else made to the file of events, and record that it was changed."""
        if self.events.restore():
            self.record(
                "tampered", text="something other than the harness wrote into the run's events"
            )

    def report(self) -> Report:
        """Return the report so far, including events that could not be written."""
        try:
            return run_dir.read(self._folder, unwritten=self.events.unwritten)
        except OSError:
            return report.build(self.events.written, run=self._folder.name)

    def write_reports(self) -> Report:
        """Write the reports and return them as a value.

        If they cannot be written, a later run writes them from the events.
        """
        made = self.report()
        try:
            run_dir.write(self._folder, made)
        except OSError as error:
            self.progress(f"could not write the reports into '{self._folder}': {error.strerror}")
        return made

    def finish(self, why: str) -> None:
        """Record the end and write the reports; in a Drone build also print the run-report line.

        Args:
            why: the reason the run was stopped for, "" if it was not stopped.
        """
        self.record("run-finished", how="interrupted" if why else "finished", reason=why)
        made = self.write_reports()
        if os.environ.get("DRONE"):
            self._print(report_line.line(made))
