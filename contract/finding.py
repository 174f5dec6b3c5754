"""One line of a check of an installation, as `cc-ci doctor` and the bridge's `--check` print it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of an installation: whether it is in order, what was seen, and how to fix it."""

    part: str
    ok: bool
    seen: str
    fix: str = ""

    def line(self, width: int) -> str:
        """Return it as one line for a terminal. width: of the column with the part, in characters."""
        fix = "" if self.ok else f"  fix: {self.fix}"
        return f"{'✓' if self.ok else '✗'} {self.part:<{width}} {self.seen}{fix}"
