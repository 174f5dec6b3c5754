"""Fixtures for tests of the jail; without bubblewrap or root they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.jail import jail
from tests.adversarial.jail.jail_env import UntrustedSuite, proxy
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(Part.ATTACKS)


@pytest.fixture(autouse=True)
def _require_jail() -> None:
    if missing := jail.why_unavailable():
        pytest.skip(missing)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[UntrustedSuite]:
    """Runs untrusted suites, with an app that they can reach."""
    with proxy() as address:
        yield UntrustedSuite(tmp_path, address)
