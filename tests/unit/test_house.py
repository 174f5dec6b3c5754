"""The house rules, read from the imports: layers, one runner, one sleeper, tests with a sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARNESS = sorted((ROOT / "harness").rglob("*.py"))
SANDBOX = sorted((ROOT / "sandbox").rglob("*.py"))
SUITES = sorted((ROOT / "recipes_tests").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

ORDER = (
    {"base"},  # the modules in `harness/` itself, but for those below
    {"host", "reporting"},
    {"recipe", "swarm", "jail"},
    {"suites"},
    {"runs"},
    {"stages", "plugin"},
    {"doctor", "lifecycle"},
    {"cli", "__init__"},
)
MAX_MODULES = 15  # in one folder


def package_of(name: str) -> str:
    """Return the package of a module of the harness, given as `harness.…` or `….py`'s dotted name."""
    parts = name.split(".")
    known = {package for row in ORDER for package in row}
    return parts[1] if len(parts) > 1 and parts[1] in known else "base"


def rank(package: str) -> int:
    """Return the row of a package, lowest first."""
    return next(number for number, row in enumerate(ORDER) if package in row)


def dotted(path: Path) -> str:
    """Return the dotted name of a file of this checkout."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, with the names taken from packages."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def forbidden(path: Path) -> list[str]:
    """Return the imports of a file of the harness that do not point downwards."""
    own = package_of(dotted(path))
    others = {name: package_of(name) for name in imports(path) if name.startswith("harness.")}
    return sorted(
        name for name, other in others.items() if other != own and rank(other) >= rank(own)
    )


@pytest.mark.parametrize("path", HARNESS, ids=dotted)
def test_imports_point_downwards(path: Path) -> None:
    """A package of the harness imports only packages of lower rows."""
    assert forbidden(path) == []


def test_no_folder_is_crowded() -> None:
    """A reader sees a folder's modules at one look."""
    folders = [p.parent for p in ROOT.rglob("*.py") if ".venv" not in p.parts]
    crowded = {str(f.relative_to(ROOT)): folders.count(f) for f in folders}
    assert {name: count for name, count in crowded.items() if count > MAX_MODULES} == {}


def test_one_module_starts_processes() -> None:
    """Only `proc` knows subprocess; plugin entry points may replace themselves."""
    assert [p.stem for p in HARNESS if "subprocess" in imports(p)] == ["proc"]


def test_one_module_sleeps() -> None:
    """Only `wait` sleeps."""
    assert [p.stem for p in HARNESS if "time.sleep" in p.read_text()] == ["wait"]


def test_no_shell_anywhere() -> None:
    """Nothing is handed to a shell by the harness."""
    assert [p.stem for p in HARNESS if "shell=True" in p.read_text()] == []


def test_sandbox_and_harness_do_not_know_each_other() -> None:
    """The sandbox could be thrown away without touching the harness, and the other way round."""
    outside = [p for p in SANDBOX if "trials" not in p.parts]
    assert [p.name for p in outside if any(m.startswith("harness") for m in imports(p))] == []
    assert [
        p.name
        for p in HARNESS
        if any(m.startswith("sandbox") for m in imports(p)) and p.name != "cli.py"
    ] == []


def test_suites_see_public_names_only() -> None:
    """A suite imports from `harness` itself, never from its modules."""
    for path in SUITES:
        assert not [m for m in imports(path) if m.startswith("harness.") and m.count(".") > 1], path


def test_every_test_says_in_one_sentence_what_holds() -> None:
    """A test's docstring is one line that ends with a full stop."""
    silent = [
        f"{path.name}:{node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        if not (ast.get_docstring(node) or "").rstrip().endswith((".", '."'))
    ]
    assert silent == []


def test_no_test_sleeps() -> None:
    """Tests wait for something that happens, never for time to pass."""
    assert [
        p.name
        for p in TESTS
        if "time.sleep(" in p.read_text() and p.name != "test_house.py" and "proc" not in p.name
    ] == []
