"""junit.xml as a pure function of a report: stages as properties, the run's identity on the suite."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as xml

from harness.level import Case

if TYPE_CHECKING:
    from harness.report import Report

INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(report: Report) -> str:
    """Return the run as JUnit; a planned stage that was not reached is a skipped case."""
    absent = [s for s in report.stages if not any(c.stage == s.name for c in report.cases)]
    missing = [
        Case(id=s.name, stage=s.name, life="", outcome="unverified", seconds=0.0, message=s.reason)
        for s in absent
    ]
    cases = [*report.cases, *missing]
    suite = xml.Element(
        "testsuite",
        name=report.recipe or "unknown",
        tests=str(len(cases)),
        failures=str(sum(case.outcome == "fail" for case in cases)),
        errors=str(sum(case.outcome == "error" for case in cases)),
        skipped=str(sum(case.outcome in ("skip", "unverified") for case in cases)),
        time=f"{report.seconds:.3f}",
    )
    _properties(suite, _identity(report))
    for case in cases:
        suite.append(_case(report.recipe, case))
    root = xml.Element("testsuites")
    root.append(suite)
    xml.indent(root, " ")
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _identity(report: Report) -> dict[str, str]:
    return {
        "run": report.run,
        "recipe": report.recipe,
        "ref": report.ref,
        "pr": report.pr,
        "src": report.src,
        "lane": report.lane,
        "level": "" if report.level is None else str(report.level),
        "verdict": report.verdict.value,
        "version": report.version,
        "base_version": report.base_version,
        "abra": report.abra,
    } | {f"phase.{name}": f"{seconds:.3f}" for name, seconds in report.phases.items()}


def _properties(parent: xml.Element, values: dict[str, str]) -> None:
    holder = xml.SubElement(parent, "properties")
    for name, value in values.items():
        xml.SubElement(holder, "property", name=name, value=_valid(value))


def _case(recipe: str, case: Case) -> xml.Element:
    element = xml.Element(
        "testcase",
        classname=f"{recipe}.{case.stage}",
        name=_valid(case.id),
        time=f"{case.seconds:.3f}",
    )
    _properties(element, {"stage": case.stage, "life": case.life})
    kind = {"fail": "failure", "error": "error", "skip": "skipped", "unverified": "skipped"}
    if case.outcome in kind:
        prefix = "unverified: " if case.outcome == "unverified" else ""
        child = xml.SubElement(element, kind[case.outcome], message=_valid(prefix + case.message))
        if case.fault:
            child.set("type", case.fault)
        child.text = _valid(case.details)
    return element


def _valid(text: str) -> str:
    """Return text without characters that XML 1.0 cannot hold."""
    return INVALID.sub("\ufffd", text)
