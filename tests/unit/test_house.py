"""The house rules, read from the imports: layers, one runner, one sleeper, tests with a sentence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARNESS = sorted((ROOT / "harness").glob("*.py"))
SANDBOX = sorted((ROOT / "sandbox").rglob("*.py"))
SUITES = sorted((ROOT / "recipes_tests").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))

LAYERS = (
    {"errors", "secret", "moment"},
    {"wait", "settings", "naming", "plan", "suite", "envfile", "lifetime", "events", "leak"}
    | {"own_build", "way", "room", "intact"},
    {"proc", "lock", "swarm", "compose", "strict_yaml", "cgroup", "orphans"},
    {"sample", "hazards", "flaws"},
    {"git", "abra_sh", "slots", "registry", "route", "containers", "converge", "abra", "remove"}
    | {"inventory", "stop"}
    | {"suite_settings", "level", "outcome", "usage", "images", "trusted", "jail"},
    {"versions", "recipe", "backup", "janitor", "app", "verdict", "scheduling", "collect"},
    {"witness", "preflight", "probe", "junit"},
    {"report"},
    {"terminal", "told", "foreign_junit"},
    {"telling"},
    {"lives"},
    {"run"},
    {"blame", "provision", "recipe_tests"},
    {"admission", "runs"},
    {"lifecycle", "zoo", "doctor", "items", "fixtures", "cases", "workers"},
    {"soak"},
    {"plugin", "cli", "__init__"},
)


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, with the names taken from packages."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rank(module: str) -> int:
    """Return the layer of a module of the harness, lowest first."""
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def inner(path: Path) -> Iterator[str]:
    """Yield the modules of the harness that a file imports at its start."""
    known = {p.stem for p in HARNESS}
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "harness":
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness."):
            yield str(node.module).partition(".")[2]


@pytest.mark.parametrize("path", HARNESS, ids=lambda p: p.stem)
def test_imports_point_downwards(path: Path) -> None:
    """A module of the harness imports only modules of lower layers."""
    own = rank(path.stem)
    assert [name for name in inner(path) if rank(name) >= own] == []


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
    assert [p.name for p in SANDBOX if any(m.startswith("harness") for m in imports(p))] == []
    assert [p.name for p in HARNESS if any(m.startswith("sandbox") for m in imports(p))] == []


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
