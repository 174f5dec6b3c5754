"""Replaced parts of the harness are noticed, including the names that suites import."""

from __future__ import annotations

import pytest

import harness
from harness.plugin import suite_guard


@pytest.mark.parametrize("name", harness.__all__)
def test_a_replaced_public_name_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite that replaces `harness.check` would take the checks of the next suite."""
    monkeypatch.setattr(suite_guard, "_loaded", {})
    suite_guard.remember()
    assert suite_guard.replaced() == []
    monkeypatch.setattr(harness, name, lambda function: function)
    assert suite_guard.replaced() == [f"harness.{name}"]
