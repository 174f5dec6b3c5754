"""Tells how many inputs were tried, and with which seed; too few fail a whole run."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adversarial.fuzz.inputs import COUNTED, LEAST, SEED, WHOLE
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(
    Part.FUZZING, by="test", times=lambda item: COUNTED[item.originalname]
)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a whole run that tried too little."""
    if WHOLE and sum(COUNTED.values()) < LEAST and session.exitstatus == 0:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was tried."""
    total = sum(COUNTED.values())
    if total:
        how = f"repeat it with FUZZ_SEED={SEED}" if WHOLE else "the same each time"
        terminalreporter.write_line(f"fuzz: {total} inputs for {len(COUNTED)} properties; {how}")
    if WHOLE and total < LEAST:
        terminalreporter.write_line(f"fuzz: {LEAST} inputs are the least")
