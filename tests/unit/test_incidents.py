"""Every known incident of systems like this one has a test that names it, or a reason why it cannot be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
DOCUMENT = ROOT / "docs" / "reliability.md"
EXEMPT = re.compile(r"^\| (?P<id>[A-Z]\d+) \| (?P<why>\S.{20,}) \|$", re.MULTILINE)


def named() -> set[str]:
    """Return the ids that the name or the sentence of some test has."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                words = f"{node.name.upper().replace('_', ' ')} {ast.get_docstring(node) or ''}"
                found |= set(re.findall(r"\b[A-Z]\d{1,2}\b", words))
    return found


def exempt() -> set[str]:
    """Return the ids that the document says cannot happen here."""
    return {match["id"] for match in EXEMPT.finditer(DOCUMENT.read_text())}


def test_every_incident_has_a_test_or_a_reason() -> None:
    """What went wrong elsewhere is tried here, or it is written down why it cannot be."""
    assert sorted(set(KNOWN) - named() - exempt()) == []


def test_what_is_tried_is_not_called_impossible() -> None:
    """An incident that a test names is not among those that cannot happen."""
    assert sorted(exempt() & named()) == []


# %% Those that no other room of the tests is about


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
    config = ["--config", ROOT / "pyproject.toml"]
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
