"""Fixtures of the tests of registry and janitor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.settings import Settings
from tests.support.lock_holder import Holder, settings_below
from tests.unit.harness.runs.sweeps import DOMAIN, STACK


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    """Settings whose folders are all below a temporary one."""
    return settings_below(tmp_path)


@pytest.fixture
def live(here: Settings, tmp_path: Path) -> Iterator[Holder]:
    """A live run in another process, which has registered the app with STACK."""
    holder = Holder(here, "app", DOMAIN, STACK, str(tmp_path / "runs" / "run-7"))
    assert holder.answer == "held"
    yield holder
    holder.kill()
