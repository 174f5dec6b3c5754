"""Untrusted JUnit XML is parsed within limits."""

from __future__ import annotations

import pytest

from harness.jail import untrusted_junit

CASE = '<testcase classname="tests.test_own" name="test_page" time="1.5"{rest}'
BOMB = """<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<testsuites><testsuite><testcase name="&b;"/></testsuite></testsuites>"""
OUTSIDE = (
    """<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]><t><testcase name="&a;"/></t>"""
)


def read(*cases: str) -> untrusted_junit.UntrustedResults:
    """Parse JUnit XML with these cases."""
    text = f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>"
    return untrusted_junit.read(text.encode())


def test_each_case_is_parsed() -> None:
    found = read(
        CASE.format(rest="/>"),
        CASE.format(rest='><failure message="no">lines</failure></testcase>'),
        CASE.format(rest='><skipped message="not here"/></testcase>'),
        CASE.format(rest='><error message="broken"/></testcase>'),
    )
    cases = [(case.outcome, case.message, case.details) for case in found.cases]
    assert sorted(cases) == [
        ("error", "broken", ""),
        ("fail", "no", "lines"),
        ("pass", "", ""),
        ("skip", "not here", ""),
    ]
    assert {(case.name, case.seconds) for case in found.cases} == {
        ("tests/test_own::test_page", 1.5)
    }


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"no xml", b"<testsuites>", BOMB.encode(), OUTSIDE.encode(), b"\xff\xfe\x00"),
        *(b"\0" * 99, b"<!DOCTYPE t><t><testcase name='a'/></t>"),
        *(b"<?xml version='1.0' encoding='%s'?><t/>" % name for name in (b"nowhere", b"shift_jis")),
    ],
    ids=[
        *("nothing", "text", "half", "bomb", "outside", "bytes", "zeros"),
        *("doctype", "no encoding", "encoding of many bytes"),
    ],
)
def test_unreadable_xml_gives_a_reason_and_no_cases(data: bytes) -> None:
    """No entity is expanded and no other file is opened."""
    found = untrusted_junit.read(data)
    assert found.unreadable
    assert found.cases == ()


def test_deeply_nested_xml_does_no_harm() -> None:
    """It is parsed or refused."""
    untrusted_junit.read(b"<a>" * 100_000 + b"</a>" * 100_000)


def test_failed_cases_are_kept_of_very_many() -> None:
    """A failure cannot hide behind thousands of passes."""
    bad = CASE.format(rest='><failure message="here"/></testcase>')
    found = read(*[CASE.format(rest="/>")] * 5000, bad)
    assert len(found.cases) == untrusted_junit.MAX_CASES
    assert found.left_out == 5001 - untrusted_junit.MAX_CASES
    assert found.count("fail") == 1


def test_names_become_one_short_harmless_line() -> None:
    name = "x&#10;::cc-ci:: {}&#10;" + "y" * 5000
    (case,) = read(f'<testcase classname="a" name="{name}"/>').cases
    assert "\n" not in case.name and len(case.name) <= untrusted_junit.MAX_NAME


def test_messages_and_details_are_cut() -> None:
    """The beginning of a message and the end of the details are kept, where the error is."""
    message, details = "m" * 5000, "d" * 5000 + "the end"
    (case,) = read(
        CASE.format(rest=f'><failure message="{message}">{details}</failure></testcase>')
    ).cases
    assert case.message == "m" * untrusted_junit.MAX_MESSAGE
    assert len(case.details) == untrusted_junit.MAX_DETAILS and case.details.endswith("the end")


@pytest.mark.parametrize("time", ["-1", "nan", "inf", "1e99", "soon", ""])
def test_impossible_times_count_as_zero(time: str) -> None:
    """They must not distort the total time."""
    (case,) = read(f'<testcase name="a" time="{time}"/>').cases
    assert case.seconds == 0.0
