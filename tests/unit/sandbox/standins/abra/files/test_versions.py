"""Order of recipe versions."""

from __future__ import annotations

from sandbox.standins.abra.files import versions


def test_versions_are_ordered_by_recipe_then_upstream() -> None:
    tags = ["1.0.0+1.10", "0.9.0+3", "v2", "1.0.0+1.9", "0.10.0+1"]
    assert versions.sort(tags) == ["0.9.0+3", "0.10.0+1", "1.0.0+1.9", "1.0.0+1.10"]
