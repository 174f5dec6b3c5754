"""`${NAME}` in the text of a pipeline."""

from __future__ import annotations

import pytest

from sandbox.standins.drone.pipeline.substitute import SubstituteError, substitute

pytestmark = pytest.mark.contract


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a ${X} b", "a x b"),
        ("${X}${Y}.", "x."),
        ("$X $1 $", "$X $1 $"),
        ("$${X}", "${X}"),
        ("$$${X}", "$x"),
        ("kill $$", "kill $"),
        ("${LINES}", '"a\\n\\"b\\""'),
    ],
)
def test_variables_in_braces_are_replaced(text: str, result: str) -> None:
    """Measured: two dollars become one, and a value with several lines becomes quoted text."""
    assert substitute(text, {"X": "x", "LINES": 'a\n"b"'}) == result


@pytest.mark.parametrize("text", ["${", "${X", "${}", "${X:-y}", "${#X}", "${a b}", "${a-b}"])
def test_braces_without_a_name_are_refused(text: str) -> None:
    """So are operators that a real Drone supports."""
    with pytest.raises(SubstituteError):
        substitute(text, {"X": "x"})
