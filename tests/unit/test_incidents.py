"""Every known incident of systems like this one has a test, or a reason why it cannot happen here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import incidents

ROOT = Path(__file__).resolve().parents[2]
KNOWN = (
    *[f"C{n}" for n in range(1, 9)],
    *[f"R{n}" for n in range(1, 9)],
    *[f"U{n}" for n in range(1, 12)],
    *[f"B{n}" for n in range(1, 8)],
    *["S1", "S3", "S4", "S5"],
    *[f"L{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15)],
    *[f"N{n}" for n in range(1, 5)],
    *[f"P{n}" for n in range(1, 7)],
    *[f"V{n}" for n in range(1, 5)],
    *["I1", "I2", "I3", "I4", "I5", "J1", "J2", "J3", "J4"],
)


def test_every_known_incident_is_in_the_document() -> None:
    assert sorted(set(KNOWN) ^ set(incidents.rows())) == []


@pytest.mark.parametrize("incident", KNOWN)
def test_an_incident_has_a_test_or_a_reason_why_it_cannot_happen(incident: str) -> None:
    """The row says what `python -m tests.support.incidents` would write."""
    cell, names = incidents.rows()[incident], incidents.tests_by_id().get(incident, set())
    if names:
        assert cell == incidents.cell_of(names)
    else:
        assert cell.startswith(incidents.NOT_HERE) and len(cell) > len(incidents.NOT_HERE) + 20


def test_every_cited_incident_is_in_the_document() -> None:
    texts = sources("harness", "bridge", "sandbox", "tests", "recipes_tests").values()
    cited = {found for text in texts for found in re.findall(r"\bincident ([A-Z]\d{1,2})\b", text)}
    assert sorted(cited - set(incidents.rows())) == []


# %% Incidents that have no better place


def sources(*folders: str) -> dict[Path, str]:
    """Return the text of every module in some folders."""
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {path: path.read_text() for path in paths}


def test_incident_c7_nothing_is_kept_in_tmp_by_a_fixed_name() -> None:
    """C7: a file in /tmp named after an app would be found again by its next run."""
    code = sources("harness", "recipes_tests")
    assert [path.name for path, text in code.items() if re.search(r"[\"']/(var/)?tmp/", text)] == []


def test_incident_i2_the_lint_refuses_a_badly_formatted_file(tmp_path: Path) -> None:
    """I2: the gate that keeps main green does notice."""
    bad = tmp_path / "bad.py"
    bad.write_text("import os\nx = {  'a':1 }\n")
    ruff = Path(sys.executable).with_name("ruff")
    config = ["--config", str(ROOT / "pyproject.toml")]
    for words in (["format", "--check"], ["check"]):
        done = subprocess.run([ruff, *words, *config, bad], capture_output=True, timeout=60)
        assert done.returncode == 1, words
    assert re.search(r"^lint: \$\(STAMP\)\n\t@scripts/lint.sh$", makefile(), re.MULTILINE)
    assert re.search(r"^test:.*\blint\b", makefile(), re.MULTILINE)


def makefile() -> str:
    """Return the Makefile's text."""
    return (ROOT / "Makefile").read_text()


def test_incident_j1_nothing_prunes() -> None:
    """J1: what is pruned has to be pulled again, and image registries limit pulls."""
    texts = {**sources("harness", "bridge", "sandbox"), ROOT / "Makefile": makefile()}
    assert [path.name for path, text in texts.items() if re.search(r"(?<!-)\bprune\b", text)] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / "recipes_tests").glob("*/*.py")), ids=lambda p: p.stem
)
def test_incident_u11_a_suite_expects_no_version_by_name(path: Path) -> None:
    """U11: a suite that asserts one version's number fails for every other one."""
    asserts = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Assert)]
    texts = [
        str(node.value)
        for found in asserts
        for node in ast.walk(found)
        if isinstance(node, ast.Constant)
    ]
    assert [text for text in texts if re.search(r"\b\d+\.\d+\.\d+\b", text)] == []
