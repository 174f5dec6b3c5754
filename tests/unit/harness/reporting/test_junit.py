"""junit.xml as a viewer of test results reads it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from harness.reporting import junit, report
from tests.support.event_factory import NAMES, case, run, started, stored


def suite_of(name: str) -> ElementTree.Element:
    """Return the one test suite of a stored run."""
    return parsed(junit.to_xml(report.build(stored(name))))


def parsed(text: str) -> ElementTree.Element:
    """Return the one test suite of a file, as a viewer reads it."""
    (suite,) = ElementTree.fromstring(text.encode()).findall("testsuite")
    return suite


def properties(element: ElementTree.Element) -> dict[str, str]:
    """Return the properties of a suite or a case."""
    return {p.get("name", ""): p.get("value", "") for p in element.findall("properties/property")}


def test_the_test_suite_has_the_identity_of_the_run() -> None:
    """The file alone shows what was tested, and the result."""
    suite = suite_of("green")
    found = properties(suite)
    assert suite.get("name") == "custom-html"
    assert (found["run"], found["pr"], found["lane"]) == ("212", "7", "cold")
    assert (found["level"], found["verdict"], found["abra"]) == ("5", "passed", "0.0.0-standin")
    assert found["ref"].startswith("617e8442")
    assert found["phase.deploy"] == "2.650"
    assert str(suite.get("timestamp")).startswith("2026-11-24T")


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_match_the_cases(name: str) -> None:
    root = ElementTree.fromstring(junit.to_xml(report.build(stored(name))).encode())
    for element in (root, root[0]):
        assert element.get("tests") == str(len(root.findall(".//testcase")))
        for attribute, tag in (("failures", "failure"), ("errors", "error")):
            assert element.get(attribute) == str(len(root.findall(f".//testcase/{tag}")))
        assert element.get("skipped") == str(len(root.findall(".//testcase/skipped")))
        assert float(str(element.get("time"))) > 0


@pytest.mark.parametrize(
    ("outcome", "tag", "message"),
    [
        ("pass", None, ""),
        ("fail", "failure", "why"),
        ("error", "error", "why"),
        ("skip", "skipped", "why"),
        ("unverified", "skipped", "unverified: why"),
    ],
)
def test_an_outcome_becomes_its_junit_element(outcome: str, tag: str | None, message: str) -> None:
    """An infrastructure problem is an error, and a case that did not run is never a pass."""
    event = case("backup", outcome, message="why", details="log", fault="recipe", life="fresh")
    text = junit.to_xml(report.build([started("backup"), event]))
    (element,) = parsed(text).findall("testcase")
    assert (element.get("classname"), element.get("time")) == ("custom-html.backup", "1.000")
    assert properties(element) == {"stage": "backup", "life": "fresh"}
    children = [child for child in element if child.tag != "properties"]
    assert [child.tag for child in children] == ([tag] if tag else [])
    if tag:
        assert (children[0].get("message"), children[0].get("type")) == (message, "recipe")
        assert children[0].text == "log"


def test_planned_stages_that_were_not_reached_are_skipped_cases() -> None:
    cases = {c.get("classname"): c for c in suite_of("interrupted").findall("testcase")}
    for stage in ("backup", "restore", "upgrade", "cleanup"):
        skipped = cases[f"custom-html.{stage}"].find("skipped")
        assert skipped is not None
        assert skipped.get("message") == "unverified: not reached"


def test_a_stage_declared_not_applicable_is_skipped_with_its_reason() -> None:
    events = run()
    events[0] = started(not_applicable={"backup": "keeps no data"})
    events = [event for event in events if event.data.get("stage") != "backup"]
    cases = {c.get("name"): c for c in parsed(junit.to_xml(report.build(events))).iter("testcase")}
    skipped = cases["backup"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "keeps no data"


@pytest.mark.parametrize(
    "bad", ["\x00", "\x1b[31m", "\x0b", "\ud800", "\ufffe", "<&\"'>", "]]>", "\U0001f600", "\r\n\t"]
)
def test_no_character_breaks_the_file(bad: str) -> None:
    """Output of an app may contain any character."""
    text = f"a{bad}b"
    event = case(text, "fail", id=text, message=text, details=text, fault=text, life=text)
    xml = junit.to_xml(report.build([started(recipe=text, ref=text), event]))
    suite = parsed(xml)
    assert str(suite.get("name")).startswith("a")
    assert suite.findall("testcase")[0].find("failure") is not None


def test_a_run_without_events_gives_valid_xml() -> None:
    suite = parsed(junit.to_xml(report.build([])))
    assert (suite.get("name"), suite.get("tests")) == ("unknown", "0")
