"""The outcome of a test case, made from pytest's report: pass or fail, whose fault, and a message."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest
import requests
from _pytest.outcomes import Skipped

from contract.verdicts import CaseOutcome
from harness.errors import BaseNotDeployable, CcCiError

# Prefixes of a HarnessSkip's reason.
NOT_RUN = "not run: "  # it should have run and did not: unverified
NOT_APPLICABLE = "not applicable: "  # by recipe.yml or by the recipe's structure: skipped
HOST_ERRORS = frozenset(  # disk full or broken, out of memory or file descriptors
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


class HarnessSkip(Skipped):
    """A skip that the harness decided on, as opposed to one in a suite's code.

    A test that a suite skips by itself is recorded as not run.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one case.

    Attributes:
        fault: whose fault it is, None if nothing went wrong.
        message: one line.
        details: more lines, for the report only.
        structural: a skip because the stage does not apply to the recipe.
    """

    kind: CaseOutcome
    fault: str | None = None
    message: str | None = None
    details: str | None = None
    structural: bool = False


def outcome_of(report: pytest.TestReport, error: BaseException | None) -> Outcome:
    """Return the outcome of one phase of one case.

    A failed assertion is the recipe's fault. Any other exception in a suite's code is the suite's fault.
    Exceptions of the harness carry the fault with them.

    Args:
        report: pytest's report of the phase.
        error: the exception that it raised, None if it raised none.
    """
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        why = f"marked as expected to fail ({expected or 'no reason'}), so it proves nothing"
        return Outcome("unverified", "suite", why)
    if report.passed:
        return Outcome("pass")
    if report.skipped:
        reason = str(getattr(error, "msg", error) or "skipped")
        if not isinstance(error, HarnessSkip):
            return Outcome("skip", None, reason)
        if reason.startswith(NOT_RUN):
            return Outcome("unverified", None, reason.removeprefix(NOT_RUN))
        structural = reason.startswith(NOT_APPLICABLE)
        return Outcome("skip", None, reason.removeprefix(NOT_APPLICABLE), structural=structural)
    kind: CaseOutcome = "fail" if report.when == "call" else "error"
    first, _, rest = str(error).partition("\n")
    if isinstance(error, BaseNotDeployable):
        return Outcome("unverified", "infra", first, rest or None)
    if isinstance(error, CcCiError):
        return Outcome(kind, error.fault, first, rest or None)
    if isinstance(error, KeyboardInterrupt):
        return Outcome("unverified", "interrupted", "interrupted")
    if isinstance(error, AssertionError | pytest.fail.Exception):
        return Outcome(kind, "recipe", first or "assertion failed", str(report.longrepr))
    if isinstance(error, requests.RequestException):
        return Outcome(kind, "recipe", f"the app did not answer: {first}", str(report.longrepr))
    is_host_error = isinstance(error, MemoryError) or getattr(error, "errno", None) in HOST_ERRORS
    fault = "suite" if report.when == "call" and not is_host_error else "infra"
    return Outcome(kind, fault, f"{type(error).__name__}: {first}", str(report.longrepr))
