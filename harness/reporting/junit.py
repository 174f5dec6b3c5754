"""junit.xml of a report: properties of a case name its stage, those of the test suite identify the run."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

from harness.reporting.level import Case
from harness.reporting.report import Report

INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HEAD = '<?xml version="1.0" encoding="utf-8"?>'
KINDS = {"fail": "failure", "error": "error", "skip": "skipped", "unverified": "skipped"}


def to_xml(report: Report) -> str:
    """Return the run as JUnit XML; a planned stage that was not reached is a skipped case."""
    cases, counts = _all_cases(report), counts_of(report)
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": _valid(report.recipe or "unknown")} | counts
    )
    if report.started:
        suite.set("timestamp", datetime.fromtimestamp(report.started, UTC).isoformat())
    _properties(suite, _identity(report))
    for case in cases:
        suite.append(_case(report.recipe or "unknown", case))
    ElementTree.indent(root, " ")
    return f"{HEAD}\n{ElementTree.tostring(root, encoding='unicode')}\n"


def counts_of(report: Report) -> dict[str, str]:
    """Return the numbers of tests, failures, errors and skipped tests, and the time in seconds."""
    return _counts(_all_cases(report), report.seconds)


def _all_cases(report: Report) -> list[Case]:
    return [*report.cases, *_stages_without_cases(report)]


def _stages_without_cases(report: Report) -> list[Case]:
    """Return a case for each stage without one: skipped if declared so, else unverified."""
    return [
        Case(
            id=stage.name,
            stage=stage.name,
            life="",
            outcome="skip" if stage.outcome == "skip" else "unverified",
            seconds=0.0,
            message=stage.reason,
        )
        for stage in report.stages
        if not stage.cases
    ]


def _counts(cases: list[Case], seconds: float) -> dict[str, str]:
    kinds = [KINDS.get(case.outcome) for case in cases]
    return {
        "tests": str(len(cases)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
        "time": f"{seconds:.3f}",
    }


def _identity(report: Report) -> dict[str, str]:
    identity = {
        "run": report.run,
        "recipe": report.recipe,
        "ref": report.ref,
        "pr": report.pr,
        "src": report.src,
        "lane": report.lane,
        "partial": str(report.partial).lower(),
        "level": "" if report.level is None else str(report.level),
        "verdict": report.verdict.value,
        "reason": report.reason,
        "interrupted_in": report.interrupted_in,
        "version": report.version,
        "base_version": report.base_version,
        "abra": report.abra,
        "no_secret_leak": _yes_or_no(report.no_secret_leak),
    }
    return identity | {f"phase.{name}": f"{seconds:.3f}" for name, seconds in report.phases.items()}


def _yes_or_no(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _properties(parent: ElementTree.Element, values: dict[str, str]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=_valid(name), value=_valid(value))


def _case(recipe: str, case: Case) -> ElementTree.Element:
    element = ElementTree.Element(
        "testcase",
        classname=_valid(f"{recipe}.{case.stage}"),
        name=_valid(case.id),
        time=f"{case.seconds:.3f}",
    )
    _properties(element, {"stage": case.stage, "life": case.life})
    kind = KINDS.get(case.outcome)
    if kind is not None:
        prefix = "unverified: " if case.outcome == "unverified" else ""
        child = ElementTree.SubElement(element, kind, message=_valid(prefix + case.message))
        if case.fault:
            child.set("type", _valid(case.fault))
        child.text = _valid(case.details)
    return element


def _valid(text: str) -> str:
    """Return text without characters that are invalid in XML 1.0."""
    return INVALID.sub("\ufffd", text)
