"""What the fault tests tried, how often, and what was lost: collected as JSON lines, told as a table.

Every trial is one line in the file that `CCCI_FIGURES` names, written at once, so that a suite that is
killed keeps what it had. `python -m tests.support.figures FILE DOCUMENT` puts the table between the
document's marks.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

FIGURES = "CCCI_FIGURES"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
HEAD = ("what was tried", "incident", "times", "lost")
TIMES = ("median", "slowest", "bound")  # columns of a part in which time is the point


@dataclass
class Trial:
    """One kind of trial: how often it was tried, what was lost, how long it took (seconds).

    part: the heading it stands under. what: names the trial; trials of one name share a row.
    bound: the longest it may take, 0 where time is not the point. note: what a repetition needs.
    """

    part: str
    what: str
    incidents: tuple[str, ...] = ()
    bound: float = 0.0
    times: int = 1
    seconds: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    failed: str = ""
    note: str = ""

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time of what happens within."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds.append(round(time.monotonic() - start, 2))

    def none_lost(self, names: Iterable[object]) -> None:
        """Require that these are none, and keep them as lost if they are not."""
        found = [str(name) for name in names]
        self.lost += found
        assert found == [], f"left behind after {self.what}: {', '.join(found)}"

    def in_time(self) -> None:
        """Require that no time taken is beyond the bound."""
        slowest = max(self.seconds, default=0.0)
        assert slowest <= self.bound, (
            f"{self.what} took {slowest:.1f} s, more than {self.bound:.0f} s"
        )


@contextmanager
def trial(
    part: str, what: str, *, incidents: tuple[str, ...] = (), bound: float = 0.0, times: int = 1
) -> Iterator[Trial]:
    """Record one trial, also when what it tried does not hold."""
    made = Trial(part, what, incidents, bound, times)
    try:
        yield made
    except BaseException as error:
        made.failed = str(error).partition("\n")[0][:200] or type(error).__name__
        raise
    finally:
        _append(made)


def _append(made: Trial) -> None:
    name = os.environ.get(FIGURES)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(made), ensure_ascii=False) + "\n")


# %% Whole folders of tests


def of_module(item: Any) -> str:
    """Return what a case's module is about: its docstring's first line."""
    return _sentence(item.module)


def of_test(item: Any) -> str:
    """Return what a case says of itself: its name in words, its docstring's first line."""
    name = re.sub(r"^test_(incident_[a-z]\d+_)?", "", item.function.__name__)
    return f"{name.replace('_', ' ')}: {_sentence(item.function)}"


def _sentence(thing: Any) -> str:
    return str(thing.__doc__ or "").partition("\n")[0].rstrip(".")


def each_case(
    part: str, row: Callable[[Any], str], *, times: Callable[[Any], int] = lambda item: 1
) -> Callable[..., Any]:
    """Return the hook by which a folder's conftest makes every case of it a trial.

    row: the trial's name. times: how often a case tried something; the property `times` that a test
    recorded goes before it.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        item: Any, call: Any
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed or (report.passed and report.when == "call"):
            told = dict(report.user_properties)
            ids = tuple(each.upper() for each in re.findall(r"incident_([a-z]\d+)", item.name))
            made = Trial(part, row(item), ids, times=int(told.get("times", times(item))))
            made.failed = item.name if report.failed else ""
            _append(made)
        return report

    return pytest_runtest_makereport


# %% The tables


def load(path: Path) -> list[Trial]:
    """Return all trials of a file."""
    return [Trial(**json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def table(trials: Iterable[Trial]) -> str:
    """Return the trials as Markdown, a table for each part, one row for each name."""
    return "".join(_parts(trials).values())


def _parts(trials: Iterable[Trial]) -> dict[str, str]:
    """Return the table of each part by its heading."""
    parts: dict[str, dict[str, list[Trial]]] = {}
    for made in trials:
        parts.setdefault(made.part, {}).setdefault(made.what, []).append(made)
    return {part: _part(part, rows) for part, rows in parts.items()}


def _part(part: str, rows: Mapping[str, list[Trial]]) -> str:
    timed = any(made.seconds for trials in rows.values() for made in trials)
    head = (*HEAD, *(TIMES if timed else ()))
    cells = [_cells(what, rows[what])[: len(head)] for what in rows]
    lines = [_line(head), "|" + "---|" * len(head), *map(_line, cells)]
    return "\n".join([f"### {part}", "", *lines, "", ""])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _told(block: str) -> dict[str, str]:
    """Return the tables that a document has already, by heading."""
    found = re.split(r"^(?=### )", block, flags=re.MULTILINE)
    return {part.partition("\n")[0][4:]: part for part in found if part.startswith("### ")}


def _cells(what: str, trials: list[Trial]) -> list[str]:
    seconds = [each for made in trials for each in made.seconds]
    lost = [name for made in trials for name in made.lost]
    failed = [made.failed for made in trials if made.failed]
    notes = dict.fromkeys(made.note for made in trials if made.note)
    return [
        " · ".join([what, *notes]),
        ", ".join(dict.fromkeys(each for made in trials for each in made.incidents)),
        f"{sum(made.times for made in trials):,}",
        f"**{'; '.join([*lost, *failed])}**" if lost or failed else "nothing",
        f"{statistics.median(seconds):.1f} s" if seconds else "",
        f"{max(seconds):.1f} s" if seconds else "",
        f"{max(made.bound for made in trials):.0f} s" if any(m.bound for m in trials) else "",
    ]


def _sum(parts: Mapping[str, str]) -> str:
    """Return one sentence about all parts, those too that were not tried again."""
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:5]]
        for part in parts.values()
        for line in part.splitlines()[4:]
        if line.startswith("| ")
    ]
    tried = sum(int(times.replace(",", "")) for _, _, times, _ in rows)
    lost = [what for what, _, _, lost in rows if lost != "nothing"]
    return f"In all {tried:,} trials of {len(rows)} kinds; lost: {'; '.join(lost) or 'nothing'}."


def render(figures: Path, document: Path) -> None:
    """Put the tables of a file of figures between the marks of a document.

    A part that the file has nothing of stays: not everything is tried each time (the soak is not).
    """
    text = document.read_text()
    marked = re.search(f"{re.escape(BEGIN)}(.*){re.escape(END)}", text, re.DOTALL)
    if not marked:
        raise SystemExit(f"'{document}' has no place for figures: {BEGIN} … {END}")
    parts = _told(marked[1]) | _parts(load(figures))
    block = f"{BEGIN}\n{_sum(parts)}\n\n{''.join(parts.values())}{END}"
    document.write_text(text[: marked.start()] + block + text[marked.end() :])


if __name__ == "__main__":
    render(Path(sys.argv[1]), Path(sys.argv[2]))
