"""Which recipes are enrolled: those with a folder among the suites."""

from __future__ import annotations

from pathlib import Path


def recipes(suites: Path) -> frozenset[str]:
    """Return the names of the enrolled recipes.

    Raises:
        OSError: the folder of the suites cannot be listed.
    """
    return frozenset(p.name for p in suites.iterdir() if p.is_dir() and p.name[0] not in "._")
