"""Read JUnit XML written by untrusted tests: size limits, no entities, every text cut and made harmless.

All of it may be forged. So it only names cases and failures; it never proves that something passed
(see the stage that uses it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from contract.markdown import printable

MAX_CASES = 200
MAX_NAME = 120  # characters
MAX_MESSAGE = 300  # characters
MAX_DETAILS = 4000  # characters
MAX_SECONDS = 86_400.0  # of one case; a longer time counts as 0

CaseOutcome = Literal["pass", "fail", "error", "skip"]
KINDS: dict[str, CaseOutcome] = {"failure": "fail", "error": "error", "skipped": "skip"}


@dataclass(frozen=True, slots=True)
class UntrustedCase:
    """One case as the file reports it, with the seconds that it claims."""

    name: str
    outcome: CaseOutcome
    seconds: float
    message: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class UntrustedResults:
    """The first 200 cases of a file, failures first.

    Attributes:
        cases: the cases.
        left_out: how many more the file has.
        unreadable: why the file cannot be read, or "".
    """

    cases: tuple[UntrustedCase, ...] = ()
    left_out: int = 0
    unreadable: str = ""

    def count(self, *outcomes: CaseOutcome) -> int:
        """Return how many cases have one of these outcomes."""
        return sum(case.outcome in outcomes for case in self.cases)


def read(data: bytes) -> UntrustedResults:
    """Parse JUnit XML; no entity is expanded and no other file is opened."""
    if not data:
        return UntrustedResults(unreadable="no results file")
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return UntrustedResults(
            unreadable=printable(f"{type(error).__name__}: {error}")[:MAX_MESSAGE]
        )
    found = list(root.iter("testcase"))
    bad_first = sorted(found, key=lambda case: _kind(case) is None or _kind(case) == "skipped")
    kept = tuple(_case(case) for case in bad_first[:MAX_CASES])
    return UntrustedResults(kept, len(found) - len(kept))


def _kind(case: Element) -> str | None:
    return next((child.tag for child in case if child.tag in KINDS), None)


def _case(case: Element) -> UntrustedCase:
    kind = _kind(case)
    problem = case.find(kind) if kind else None
    path, name = case.get("classname", "").replace(".", "/"), case.get("name", "")
    return UntrustedCase(
        name=printable(f"{path}::{name}")[:MAX_NAME],
        outcome=KINDS[kind] if kind else "pass",
        seconds=_seconds(case.get("time", "")),
        message=printable((problem.get("message") or "") if problem is not None else "")[
            :MAX_MESSAGE
        ],
        details=((problem.text or "") if problem is not None else "")[-MAX_DETAILS:],
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0.0 <= seconds <= MAX_SECONDS else 0.0
