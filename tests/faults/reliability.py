"""Makes the documents of the fault tests from their figures.

`python -m tests.faults.reliability table FIGURES` prints one row for each kind of trial.
`python -m tests.faults.reliability document FIGURES FILE` writes one row for each area and bound between the
marks of docs/reliability.md.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.support.figures import Part, Trial, load

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
KIND_HEAD = ("what was tried", "incident", "times", "lost")
TIME_HEAD = ("median", "slowest", "bound")  # columns of a part in which times were measured
AREA_HEAD = ("area", "what is survived", "kinds", "trials", "lost", "slowest", "bound")

# Summaries of parts with many kinds; of the other parts each kind is named.
SUMMARIES: Mapping[str, str] = {
    Part.SHUTDOWN: "SIGTERM, SIGHUP, Ctrl-C, a closed terminal, the run's own deadline, Drone's cancel, "
    "a lost cancel, more signals during the teardown; each also with -n 2",
    Part.BRIDGE: "SIGKILL before and after every step; outages of forge and Drone; lost answers, replays, "
    "wrong signatures, a full disk: one build, one comment, one verdict for each command",
    Part.ATTACKS: "hostile recipes, suites, own tests, build logs, HTTP clients; attempts to print, hide or "
    "encode a secret: none comes out green, leaves the jail or leaks",
    Part.FUZZING: "random input to every parser: none raises, forges a line or lets a trigger through",
}


# %% One row for each kind


def table(trials: Iterable[Trial]) -> str:
    """Return the trials as Markdown: a table for each part, one row for each kind."""
    parts = [_part_table(part, kinds) for part, kinds in _by_kind(trials).items()]
    return "\n".join(parts)


def _by_kind(trials: Iterable[Trial]) -> dict[str, dict[str, list[Trial]]]:
    parts: dict[str, dict[str, list[Trial]]] = {}
    for trial in trials:
        parts.setdefault(trial.part, {}).setdefault(trial.what, []).append(trial)
    order = [str(part) for part in Part]
    return dict(sorted(parts.items(), key=lambda item: _position(item[0], order)))


def _position(part: str, order: Sequence[str]) -> int:
    return order.index(part) if part in order else len(order)


def _part_table(part: str, kinds: Mapping[str, list[Trial]]) -> str:
    timed = any(trial.seconds for trials in kinds.values() for trial in trials)
    head = (*KIND_HEAD, *(TIME_HEAD if timed else ()))
    rows = [_kind_cells(what, kinds[what])[: len(head)] for what in kinds]
    return "\n".join([f"### {part}", "", *_rows(head, rows), ""])


def _kind_cells(what: str, trials: Sequence[Trial]) -> list[str]:
    notes = dict.fromkeys(trial.note for trial in trials if trial.note)
    seconds = [each for trial in trials for each in trial.seconds]
    return [
        " · ".join([what, *notes]),
        ", ".join(dict.fromkeys(each for trial in trials for each in trial.incidents)),
        _times(trials),
        _lost(trials),
        f"{statistics.median(seconds):.1f} s" if seconds else "",
        _slowest(trials),
        _bound(trials),
    ]


# %% One row for each area and bound


def areas(trials: Iterable[Trial]) -> dict[str, list[str]]:
    """Return the rows of the short table for each part."""
    return {part: _area_rows(part, kinds) for part, kinds in _by_kind(trials).items()}


def _area_rows(part: str, kinds: Mapping[str, list[Trial]]) -> list[str]:
    groups: dict[float, list[str]] = {}
    for what, trials in kinds.items():
        groups.setdefault(max(trial.bound for trial in trials), []).append(what)
    rows = []
    for names in groups.values():
        trials = [trial for name in names for trial in kinds[name]]
        what = SUMMARIES.get(part) or "; ".join(names)
        cells = [part, what, str(len(names)), _times(trials), _lost(trials), _slowest(trials)]
        rows.append(_row([*cells, _bound(trials)]))
    return rows


def total(rows: Iterable[str]) -> str:
    """Return one sentence about all rows of the short table."""
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    kinds = sum(int(row[2]) for row in cells)
    trials = sum(int(row[3].replace(",", "")) for row in cells)
    lost = "; ".join(row[4].strip("*") for row in cells if row[4] != "nothing")
    return f"In all {trials:,} trials of {kinds} kinds; lost: {lost or 'nothing'}."


def write_document(figures: Path, document: Path) -> None:
    """Write the short table between the marks of a document.

    Rows of parts that the figures do not have stay: not everything is tried each time (the soak is not).
    """
    text = document.read_text()
    marked = re.search(f"{re.escape(BEGIN)}(.*){re.escape(END)}", text, re.DOTALL)
    if not marked:
        raise SystemExit(f"'{document}' has no marks for the figures: {BEGIN} … {END}")
    new = areas(load(figures))
    parts = {part: new.get(part) or _written(marked[1], part) for part in [*Part, *new]}
    rows = [row for lines in parts.values() for row in lines]
    block = "\n".join([BEGIN, total(rows), "", *_head(AREA_HEAD), *rows, END])
    document.write_text(text[: marked.start()] + block + text[marked.end() :])


def _written(block: str, part: str) -> list[str]:
    return [line for line in block.splitlines() if line.startswith(f"| {part} |")]


# %% Cells


def _times(trials: Iterable[Trial]) -> str:
    return f"{sum(trial.times for trial in trials):,}"


def _lost(trials: Sequence[Trial]) -> str:
    lost = [name for trial in trials for name in trial.lost]
    lost += [f"{trial.what}: {trial.failed}" for trial in trials if trial.failed]
    return f"**{'; '.join(lost)}**" if lost else "nothing"


def _slowest(trials: Iterable[Trial]) -> str:
    seconds = [each for trial in trials for each in trial.seconds]
    return f"{max(seconds):.1f} s" if seconds else ""


def _bound(trials: Iterable[Trial]) -> str:
    bound = max(trial.bound for trial in trials)
    return f"{bound:.0f} s" if bound else ""


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [*_head(head), *map(_row, rows)]


def _head(head: Sequence[str]) -> list[str]:
    return [_row(head), "|" + "---|" * len(head)]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(words: Sequence[str]) -> None:
    """Run the command that the module's docstring names."""
    if words[0] == "table":
        sys.stdout.write(table(load(Path(words[1]))))
    else:
        write_document(Path(words[1]), Path(words[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
