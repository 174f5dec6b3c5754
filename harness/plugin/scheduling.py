"""pytest-xdist: one recipe, one worker, in stage order.

`--dist loadgroup` silently groups nothing with pytest 9.2 and xdist 3.8 (pytest-xdist#1386), so the
scope is decided here, from the test's id.
"""

from __future__ import annotations

import re
from typing import Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

BRACKET = re.compile(r"\[(?:after-[a-z]+-)?(?P<recipe>[^\]]+)\]$")


def scope_of(nodeid: str) -> str:
    """Return the recipe that a test's id belongs to; the file for tests that are no recipe's."""
    path, _, _ = nodeid.partition("::")
    folders = path.split("/")
    if folders[-1] == "test_lifecycle.py":
        match = BRACKET.search(nodeid)
        return match["recipe"] if match else path
    return folders[-2] if len(folders) > 1 else path


class RecipeScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Whole recipes go to a worker, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def remove_node(self, node: Any) -> Any:
        """Take off a worker that died, and return the test it died in.

        What it had begun is over: another worker could only find that nothing the remaining steps
        need has happened. What it had not begun goes to others.
        """
        work = self.assigned_work[node]
        begun = next((scope for scope, unit in work.items() if not all(unit.values())), None)
        unit = {} if begun is None else work.pop(begun)
        super().remove_node(node)
        return next((test for test, over in unit.items() if not over), None)


def make(config: Any, log: Any) -> RecipeScheduling:
    """Return the scheduler for a pytest session."""
    return RecipeScheduling(config, log)
