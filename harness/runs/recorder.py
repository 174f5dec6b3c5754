"""What one run tells while it goes: events into its file, lines to whoever watches, reports at its end.

All of it passes the run's redactor first. In a Drone build some events are marked lines as well, for
who has only the log.
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
from harness.plan import LANE_STAGES, STAGES, Lane
from harness.reporting import events, report, report_line, run_dir, terminal, words
from harness.reporting.events import EventLog
from harness.reporting.level import SUPERFICIAL
from harness.reporting.report import Report
from harness.secret import Redactor
from harness.suites.collect import Place
from harness.suites.outcome import Outcome

WORDS = (
    *STAGES,
    *OUTCOMES,
    *LANE_STAGES,
    *Verdict,
    *events.PUBLIC_EVENTS,
)  # what reports are made of
LONGEST_MESSAGE = 4_000  # characters of a case's message
LONGEST_DETAILS = 64_000  # characters of its details, the last ones


class Recorder:
    """Tells one run; its events are the only source of all reports.

    `redactor` learns the run's secrets. `failed`: a case failed or erred. `escaped`: a secret got as
    far as the console.
    """

    def __init__(
        self, folder: Path, *, recipe: str, lane: Lane, console: Callable[[str], None]
    ) -> None:
        """Open the file of events in a run's directory. console: prints a line at once.

        Raises:
            InfraError: the disk does not take it.
        """
        self.redactor = Redactor(words=(*WORDS, recipe))
        self.events = EventLog(folder / run_files.EVENTS, scrub=self.redactor.scrub)
        self.failed = False
        self.escaped = False
        self._folder, self._recipe, self._lane = folder, recipe, lane
        self._console = console
        self._started = time.time()
        self._begun = ("", "")

    @property
    def trouble(self) -> str:
        """Why what happens can no longer be recorded, "" while it can."""
        return self.events.write_error

    def scrub(self, text: str) -> str:
        """Return a text without the run's secrets."""
        return self.redactor.scrub(text)

    def close(self) -> None:
        """Close the file of events; reports can still be made."""
        self.events.close()

    # -- what happens

    def tell(self, event: str, /, **data: object) -> None:
        """Record an event; in a Drone build also print it as a marked line."""
        line = events.marked(self.events.write(event, **data))
        if line and os.environ.get("DRONE"):
            self._print(line)

    def begin(self, stage: str, life: str) -> None:
        """Tell that a stage begins, once.

        Raises:
            InfraError: what happens can no longer be recorded; only the cleanup goes on.
        """
        if self.trouble and stage != "cleanup":
            raise InfraError(self.trouble)
        if (stage, life) != self._begun:
            self._begun = (stage, life)
            self.tell("stage-started", stage=stage, life=life or None)

    @contextlib.contextmanager
    def phase(self, name: str, life: str = "") -> Iterator[None]:
        """Time a phase, also when it fails."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._phase(name, life, time.monotonic() - start)

    def say(self, text: str, life: str = "") -> None:
        """Print a line at once and record it."""
        clean = self.scrub(text)
        self.events.write("state", life=life or None, text=clean)
        self._show(clean, life)

    def note(self, text: str) -> None:
        """Record something the reader of the report should know, and print it."""
        clean = self.scrub(text)
        self.events.write("note", text=clean)
        self._show(f"note: {clean}")

    def keep_log(self, life: str, name: str, text: str) -> None:
        """Write a text below logs/ as evidence.

        Raises:
            OSError: the disk does not take it.
        """
        path = self._folder / "logs" / f"{life}-{name}.log"
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.scrub(text), errors="replace")
        self.events.write("evidence", kind="log", path=str(path.relative_to(self._folder)))

    def case(self, name: str, place: Place, outcome: Outcome, *, seconds: float) -> None:
        """Record one case as an event and print it."""
        self.failed = self.failed or outcome.kind in ("fail", "error")
        message = self.scrub(outcome.message or "")[:LONGEST_MESSAGE] or None
        details = self.scrub(outcome.details or "")[-LONGEST_DETAILS:] or None
        life = place.step.life(self._lane)
        self.tell(
            "case",
            id=name,
            stage=place.step.stage,
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
        self, name: str, place: Place, kind: str, why: str, *, life: str, seconds: float
    ) -> None:
        """Record a negative control; one that passed although nothing runs is a case of its own."""
        self._phase("control", life, seconds)
        self.tell("control", id=name, outcome=kind, seconds=round(seconds, 3), message=why or None)
        if kind == "superficial":
            self.case(name, place, Outcome("unverified", "suite", SUPERFICIAL), seconds=seconds)

    def _phase(self, name: str, life: str, seconds: float) -> None:
        self.events.write("phase", phase=name, life=life or None, seconds=round(seconds, 3))

    def _show(self, text: str, life: str = "") -> None:
        elapsed = time.time() - self._started
        self._print(terminal.progress_line(elapsed, self._recipe, life, text))

    def _print(self, line: str) -> None:
        """Print a line; one that still holds a secret is masked, and counts as a leak."""
        clean = self.scrub(line)
        self.escaped = self.escaped or clean != line
        self._console(clean)

    # -- the end

    def take_out_foreign(self) -> None:
        """Undo what anybody else did to the events; such a run is not to be believed."""
        if self.events.restore():
            self.tell(
                "tampered", text="something else than the harness wrote into the run's events"
            )

    def report(self) -> Report:
        """Return the report of what has happened so far, also of what the disk did not take."""
        try:
            return run_dir.read(self._folder, unwritten=self.events.unwritten)
        except OSError:
            return report.build(self.events.written, run=self._folder.name)

    def write_reports(self) -> Report:
        """Write the reports and return what they tell.

        On a disk that takes no report the events are still there, and the janitor writes it later.
        """
        made = self.report()
        try:
            run_dir.write(self._folder, made)
        except OSError as error:
            self.say(f"could not write the reports into '{self._folder}': {error.strerror}")
        return made

    def finish(self, why: str) -> None:
        """Tell the end and write the reports; in a Drone build the whole run is one marked line too.

        why: the reason that the run was ended for, "" where it came to its end.
        """
        self.tell("run-finished", how="interrupted" if why else "finished", reason=why)
        made = self.write_reports()
        if os.environ.get("DRONE"):
            self._print(report_line.line(made))
