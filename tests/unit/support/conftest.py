"""A file of figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import figures


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that figures are appended to."""
    path = tmp_path / "figures.jsonl"
    monkeypatch.setenv(figures.FIGURES, str(path))
    return path
