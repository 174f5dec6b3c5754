"""The outcome of a test that raised an error."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pytest

from harness.suites.outcome import outcome_of


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENOMEM, errno.EDQUOT]
)
def test_errors_of_the_host_in_a_test_are_infrastructure_errors(number: int) -> None:
    """A full or read-only disk during a test is not the suite's fault."""
    seen: Any = SimpleNamespace(passed=False, skipped=False, when="call", longrepr="trace")
    error = OSError(number, os.strerror(number))
    assert outcome_of(seen, error).fault == "infra"
    missing = FileNotFoundError(errno.ENOENT, "No such file")
    assert outcome_of(seen, missing).fault == "suite"
