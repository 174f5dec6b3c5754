"""docs/incidents.md and the tests that cover each incident; run as a module, it updates the table.

An incident is something that went wrong in a system like this one. A test covers it if its name or its
docstring has the incident's id.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "incidents.md"
ROW = re.compile(
    r"^\| (?P<id>[A-Z]\d{1,2}) \| (?P<what>[^|]+) \| (?P<tests>[^|]+) \|$", re.MULTILINE
)
NOT_HERE = "cannot happen here: "


def rows() -> dict[str, str]:
    """Return the last column of the table by incident id."""
    return {match["id"]: match["tests"] for match in ROW.finditer(DOCUMENT.read_text())}


@cache
def tests_by_id() -> dict[str, set[str]]:
    """Return the names of the tests that cover each incident."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                words = f"{node.name.upper().replace('_', ' ')} {ast.get_docstring(node) or ''}"
                for incident in re.findall(r"\b[A-Z]\d{1,2}\b", words):
                    found.setdefault(incident, set()).add(node.name)
    return found


def cell_of(names: set[str]) -> str:
    """Return the cell that names some tests."""
    return ", ".join(f"`{name}`" for name in sorted(names))


def update() -> None:
    """Write the names of the tests into the document."""
    tests = tests_by_id()

    def row(match: re.Match[str]) -> str:
        cell = cell_of(tests[match["id"]]) if match["id"] in tests else match["tests"]
        return f"| {match['id']} | {match['what']} | {cell} |"

    DOCUMENT.write_text(ROW.sub(row, DOCUMENT.read_text()))


if __name__ == "__main__":
    update()
