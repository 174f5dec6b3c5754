"""Prints how many inputs were tried and with which seed; too few inputs fail a full run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adversarial.fuzz.inputs import COUNTED, IS_FULL_RUN, MIN_INPUTS, SEED
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(
    Part.FUZZING, by="test", times=lambda item: COUNTED[item.originalname]
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a full run with too few inputs."""
    if IS_FULL_RUN and sum(COUNTED.values()) < MIN_INPUTS and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the number of inputs and the seed."""
    total = sum(COUNTED.values())
    if total:
        how = f"repeat it with FUZZ_SEED={SEED}" if IS_FULL_RUN else "the same each time"
        terminalreporter.write_line(f"fuzz: {total} inputs for {len(COUNTED)} properties; {how}")
    if IS_FULL_RUN and total < MIN_INPUTS:
        terminalreporter.write_line(f"fuzz: a full run needs at least {MIN_INPUTS} inputs")
