"""Double-quoted text as Go writes it."""

from __future__ import annotations

import pytest

from sandbox.standins.drone.pipeline.quote import quote

pytestmark = pytest.mark.contract


def test_non_printable_characters_are_escaped() -> None:
    assert quote('a"b\\\n\t\x01é\u2028') == '"a\\"b\\\\\\n\\t\\x01é\\u2028"'
