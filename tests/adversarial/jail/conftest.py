"""The jail's tests need what the jail needs; where it is missing they say what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.jail import jail
from tests.adversarial.jail.jail_env import Stranger, proxy
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(Part.ATTACKS)


@pytest.fixture(autouse=True)
def _jail_can_be_had() -> None:
    if missing := jail.why_unavailable():
        pytest.skip(missing)


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Stranger]:
    """Somebody whose suites are run, with an app to be reached."""
    with proxy() as address:
        yield Stranger(tmp_path, address)
