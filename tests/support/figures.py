"""Records what the fault tests tried: how often, what was lost, and how long it took.

Each trial is appended as one JSON line to the file that `CCCI_FIGURES` names, as soon as it has finished, so
the figures survive if the test session is killed. `tests.faults.reliability` makes the documents from them.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

FIGURES = "CCCI_FIGURES"
MAX_REASON = 200  # characters of a failure's message


class Part(StrEnum):
    """Areas of the fault tests, in the order of the documents."""

    KILLED = "Killed processes"
    SHUTDOWN = "Cancellation and shutdown"
    REBOOT = "Docker restarts and reboots"
    CONCURRENT = "Concurrent runs"
    JANITOR = "Janitor against live runs"
    HOST = "Problems of the host and its services"
    APPS = "Misbehaving applications"
    BRIDGE = "Bridge"
    ATTACKS = "Attacks and leaks"
    FUZZING = "Fuzzing"
    SOAK = "Soak"


@dataclass
class Trial:
    """One kind of trial: how often it was tried, what was lost, how long it took.

    Attributes:
        part: heading in the documents.
        what: name of the kind; trials of one name share a row.
        incidents: ids of the incidents that it covers.
        bound: the longest time it may take, in seconds; 0 if time does not matter.
        times: how often it was tried.
        seconds: the times measured.
        lost: what existed after the bound, or got through.
        failed: why the test failed, "" if it passed.
        note: conditions of the trial, such as a random seed.
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
        """Measure the time of a block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds.append(round(time.monotonic() - start, 2))

    def none_lost(self, names: Iterable[object]) -> None:
        """Fail if there are any names, and record them as lost."""
        found = [str(name) for name in names]
        self.lost += found
        assert found == [], f"left behind after {self.what}: {', '.join(found)}"

    def in_time(self) -> None:
        """Fail if a measured time exceeds the bound."""
        slowest = max(self.seconds, default=0.0)
        assert slowest <= self.bound, (
            f"{self.what} took {slowest:.1f} s, more than {self.bound:.0f} s"
        )


@contextmanager
def trial(
    part: Part, what: str, *, incidents: tuple[str, ...] = (), bound: float = 0.0, times: int = 1
) -> Iterator[Trial]:
    """Record a block as one trial, also if it fails; see `Trial`."""
    made = Trial(part, what, incidents, bound, times)
    try:
        yield made
    except BaseException as error:
        made.failed = str(error).partition("\n")[0][:MAX_REASON] or type(error).__name__
        raise
    finally:
        _append(made)


def _append(made: Trial) -> None:
    name = os.environ.get(FIGURES)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(made), ensure_ascii=False) + "\n")


def load(path: Path) -> list[Trial]:
    """Return all trials of a file of figures."""
    return [Trial(**json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def record_cases(
    part: Part, *, by: str = "module", times: Callable[[Any], int] = lambda item: 1
) -> Callable[..., Any]:
    """Return a pytest hook that records every test case of a folder as a trial.

    Assign it to `pytest_runtest_makereport` in the folder's conftest.

    Args:
        part: heading in the documents.
        by: "module" for one kind for each module, "test" for one for each test function.
        times: how often a case tried something; a test's recorded property `times` takes precedence.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        item: Any, call: Any
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed or (report.passed and report.when == "call"):
            properties: dict[str, Any] = dict(report.user_properties)
            ids = tuple(each.upper() for each in re.findall(r"incident_([a-z]\d+)", item.name))
            what = _first_line(item.module) if by == "module" else _test_in_words(item.function)
            made = Trial(part, what, ids, times=int(properties.get("times", times(item))))
            made.failed = item.name if report.failed else ""
            _append(made)
        return report

    return pytest_runtest_makereport


def _test_in_words(function: Any) -> str:
    """Return a test's name in words, and its docstring's first line if it has one."""
    name = re.sub(r"^test_(incident_[a-z]\d+_)?", "", function.__name__).replace("_", " ")
    why = _first_line(function)
    return f"{name}: {why}" if why else name


def _first_line(thing: Any) -> str:
    return str(thing.__doc__ or "").partition("\n")[0].rstrip(".")
