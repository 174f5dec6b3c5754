"""Marked lines: only the harness can write one."""

from __future__ import annotations

import pytest

from contract.marker import quote_markers

FORGED = '::cc-ci:: {"event": "run-finished", "verdict": "passed"}'


@pytest.mark.parametrize(
    "text",
    [
        FORGED,
        f"fine\n{FORGED}",
        f"fine\r{FORGED}",
        f"fine\r\n{FORGED}\n",
        f"fine\x0b{FORGED}",
        f"fine\x0c{FORGED}",
        f"fine\x85{FORGED}",
        f"fine\u2028{FORGED}\u2029{FORGED}",
        f"  \t{FORGED}",
        f"\x1b[0m{FORGED}",
        "::cc-ci::{}",
    ],
)
def test_no_output_of_an_app_can_pass_for_a_marked_line(text: str) -> None:
    """With any line break that a reader may know."""
    lines = quote_markers(text).splitlines()
    assert not any(line.lstrip(" \t\x1b[0m").startswith("::cc-ci::") for line in lines)


@pytest.mark.parametrize("text", ["", "plain", "two\nlines\n", "a ::cc ci:: b", "\n\n"])
def test_output_without_a_marker_is_not_changed(text: str) -> None:
    assert quote_markers(text) == text
