"""From pytest's report of a case to what we record: outcome, whose fault, and the sentence."""

from __future__ import annotations

import errno
from dataclasses import dataclass

import pytest
import requests
from _pytest.outcomes import Skipped

from contract.verdicts import CaseOutcome
from harness.errors import BaseNotDeployable, CcCiError

NOT_RUN = "not run: "  # should have run and did not
NOT_APPLICABLE = "not applicable: "  # declared by the suite, or a structural fact
OURS = frozenset(  # what the system says when the host is at its end
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


class HarnessSkip(Skipped):
    """A skip that the harness itself decided on; only such a one is structural, or a need not met.

    What a suite's code skips by itself is a test that did not run.
    """


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case's outcome; `fault` is None where nothing went wrong."""

    kind: CaseOutcome
    fault: str | None = None
    message: str | None = None
    details: str | None = None
    structural: bool = False


def outcome_of(report: pytest.TestReport, error: BaseException | None) -> Outcome:
    """Judge one phase of one case.

    A failed assertion is the recipe's fault; any other surprise in a suite's code is the suite's;
    what our own code raises says itself whose fault it is.
    """
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        why = f"it is marked as expected to fail ({expected or 'no reason'}), so it proves nothing"
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
    of_the_host = isinstance(error, MemoryError) or getattr(error, "errno", None) in OURS
    fault = "suite" if report.when == "call" and not of_the_host else "infra"
    return Outcome(kind, fault, f"{type(error).__name__}: {first}", str(report.longrepr))
