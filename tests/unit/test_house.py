"""Rules for the source: who imports whom, how large a folder or module may be, who may start processes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("contract", "harness", "bridge", "sandbox")
FOLDERS = (*PRODUCT, "recipes_tests", "tests")

# The packages of the harness, lowest first. A package imports only from earlier rows, none of its own row.
ORDER = (
    {"errors", "naming", "plan", "secret", "settings"},  # modules outside of the packages
    {"host", "reporting"},
    {"recipe", "swarm", "jail"},
    {"suites"},
    {"runs"},
    {"stages", "plugin"},
    {"doctor", "lifecycle"},
    {"cli", "harness"},  # the latter is `harness/__init__.py`
)
MAX_MODULES = 15  # in one folder
MAX_LINES = 400  # in one module


def files(*folders: str) -> list[Path]:
    """Return the Python files below some folders of the checkout."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def dotted(path: Path) -> str:
    """Return the name by which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Return all modules that a file imports anywhere, typing-only imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if is_module(name) else node.module for name in names}
    return frozenset(found)


@cache
def is_module(name: str) -> bool:
    """Return True if a dotted name is a module or package of this checkout."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports_of(path: Path, *packages: str) -> list[str]:
    """Return what a file imports from some top-level packages."""
    return sorted(name for name in imports(path) if name.partition(".")[0] in packages)


def package_of(name: str) -> str:
    """Return the package of the harness, or its base module, that a dotted name belongs to."""
    return name.split(".")[1] if "." in name else name


def rank(package: str) -> int:
    """Return the row of a package of the harness, lowest first."""
    return next(number for number, row in enumerate(ORDER) if package in row)


def wrong_way(path: Path) -> Iterator[str]:
    """Yield the imports of a file of the harness that do not point downwards."""
    own = package_of(dotted(path))
    for name in imports_of(path, "harness"):
        other = package_of(name)
        if other != own and rank(other) >= max(rank(own), 1):
            yield name


# %% Who imports whom


@pytest.mark.parametrize("path", files("harness"), ids=dotted)
def test_imports_of_the_harness_point_downwards(path: Path) -> None:
    assert list(wrong_way(path)) == []


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("contract", {"contract"}),
        ("harness", {"contract", "harness"}),
        ("bridge", {"contract", "bridge"}),
        ("sandbox", {"contract", "sandbox"}),
        ("recipes_tests", {"harness"}),
    ],
)
def test_packages_know_only_their_neighbours(package: str, allowed: set[str]) -> None:
    others = {*FOLDERS} - allowed
    found = {dotted(path): imports_of(path, *others) for path in files(package)}
    assert {name: imported for name, imported in found.items() if imported} == {}


def test_suites_import_public_names_only() -> None:
    found = {dotted(path): imports_of(path, "harness") for path in files("recipes_tests")}
    assert {
        name for name, used in found.items() if not set(used) <= {"harness", "harness.lifecycle"}
    } == set()


def test_there_is_no_import_cycle() -> None:
    """Typing-only imports count too: modules in a cycle cannot be read one after the other."""
    graph = {dotted(path): imports(path) for path in files(*PRODUCT)}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above[above.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph.get(name, frozenset()) - {name}):
            visit(other, (*above, name))
        done.add(name)

    for name in graph:
        visit(name, ())


# %% Sizes


def test_no_folder_has_too_many_modules() -> None:
    folders = [path.parent for path in files(*FOLDERS) if path.name != "__init__.py"]
    counts = {str(folder.relative_to(ROOT)): folders.count(folder) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MAX_MODULES} == {}


def test_no_module_is_too_long() -> None:
    lengths = {dotted(path): len(path.read_text().splitlines()) for path in files(*FOLDERS)}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


# %% One place for each dangerous thing


def modules_with(text: str, folder: str = "harness") -> list[str]:
    """Return the modules of a folder in whose source a text appears."""
    return [dotted(path) for path in files(folder) if text in path.read_text()]


def test_one_module_starts_processes() -> None:
    assert [dotted(p) for p in files("harness") if "subprocess" in imports(p)] == [
        "harness.host.proc"
    ]


def test_one_module_sleeps() -> None:
    assert modules_with("time.sleep") == ["harness.host.wait"]


def test_nothing_is_given_to_a_shell() -> None:
    assert modules_with("shell=True") == []


def test_no_test_sleeps() -> None:
    """A test waits for something that happens, never for time to pass."""
    # This module has the text itself; commands in test_proc sleep until they are killed.
    allowed = {dotted(Path(__file__)), "tests.unit.harness.host.test_proc"}
    tests = [path for path in files("tests") if path.name.startswith("test_")]
    sleeping = {dotted(path) for path in tests if "time.sleep(" in path.read_text()}
    assert sorted(sleeping - allowed) == []
