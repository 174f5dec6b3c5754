"""JUnit that a stranger wrote: read within bounds, every text of it cut to one harmless line.

It may be forged from end to end. So it decides only which cases are named, never that something is
green; see `recipe_tests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from contract.markdown import printable

MOST_CASES = 200
LONGEST_NAME = 120  # characters
LONGEST_MESSAGE = 300
LONGEST_DETAILS = 4000
LONGEST_CASE = 86_400.0  # seconds
KINDS: dict[str, Outcome] = {"failure": "fail", "error": "error", "skipped": "skip"}

Outcome = Literal["pass", "fail", "error", "skip"]


@dataclass(frozen=True, slots=True)
class Heard:
    """One case as told; seconds it says that it took."""

    name: str
    outcome: Outcome
    seconds: float
    message: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class Hearing:
    """All that was told: the first 200 cases, the number of those left out, and why it is unreadable."""

    cases: tuple[Heard, ...] = ()
    left_out: int = 0
    unreadable: str = ""

    def count(self, *outcomes: Outcome) -> int:
        """Return how many cases have one of these outcomes."""
        return sum(case.outcome in outcomes for case in self.cases)


def read(data: bytes) -> Hearing:
    """Read what may be JUnit; no entity is expanded and no other file opened."""
    if not data:
        return Hearing(unreadable="there is none")
    try:
        root = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        return Hearing(unreadable=printable(f"{type(error).__name__}: {error}")[:LONGEST_MESSAGE])
    found = list(root.iter("testcase"))
    bad_first = sorted(found, key=lambda case: _kind(case) is None or _kind(case) == "skipped")
    told = tuple(_heard(case) for case in bad_first[:MOST_CASES])
    return Hearing(told, len(found) - len(told))


def _kind(case: Element) -> str | None:
    return next((child.tag for child in case if child.tag in KINDS), None)


def _heard(case: Element) -> Heard:
    kind = _kind(case)
    said = case.find(kind) if kind else None
    path, name = case.get("classname", "").replace(".", "/"), case.get("name", "")
    return Heard(
        name=printable(f"{path}::{name}")[:LONGEST_NAME],
        outcome=KINDS[kind] if kind else "pass",
        seconds=_seconds(case.get("time", "")),
        message=printable((said.get("message") or "") if said is not None else "")[
            :LONGEST_MESSAGE
        ],
        details=((said.text or "") if said is not None else "")[-LONGEST_DETAILS:],
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if 0.0 <= seconds <= LONGEST_CASE else 0.0
