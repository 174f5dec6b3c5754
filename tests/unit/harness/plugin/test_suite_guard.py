"""What a suite must not replace: also the names that it imports itself."""

from __future__ import annotations

import pytest

import harness
from harness.plugin import suite_guard


@pytest.mark.parametrize("name", harness.__all__)
def test_a_name_that_suites_import_stays_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One suite that replaces `harness.check` would take the checks of the next."""
    monkeypatch.setattr(suite_guard, "_loaded", {})
    suite_guard.remember()
    assert suite_guard.replaced() == []
    monkeypatch.setattr(harness, name, lambda function: function)
    assert suite_guard.replaced() == [f"harness.{name}"]
