"""A clock for unit tests that moves only when code waits."""

from __future__ import annotations

import pytest

from harness.host import wait


@pytest.fixture
def moving_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the waiting loop sleep without waiting: its clock moves instead."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = wait.Clock(lambda: now[0], sleep)
    defaults = {**(wait.until.__kwdefaults__ or {}), "clock": clock}
    monkeypatch.setattr(wait.until, "__kwdefaults__", defaults)
