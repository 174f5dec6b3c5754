"""The decorators of suites (`@seed`, `@check`, `@wreck`), and whether a function asserts anything.

A check without an assertion always passes. It is refused at collection, by reading its source: the function,
or a function of the same file that it calls, must assert something that is not a constant, or use
`pytest.raises` or `pytest.fail`.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.errors import UsageError

Role = Literal["seed", "check", "wreck"]
ROLE = "_cc_ci_role"
F = TypeVar("F", bound=Callable[..., Any])
ASSERTING_CALLS = frozenset({"raises", "fail"})


def seed(function: F) -> F:
    """Mark a function that creates data as an owner would; it runs once in every life.

    Args:
        function: takes the app as its only argument.
    """
    return _mark(function, "seed")


def check(function: F) -> F:
    """Mark a function that asserts what must be true after install, redeploy, restore and upgrade.

    Args:
        function: takes the app as its only argument.
    """
    return _mark(function, "check")


def wreck(function: F) -> F:
    """Mark a function that destroys data inside the app, which a restore must bring back.

    Args:
        function: takes the app as its only argument.
    """
    return _mark(function, "wreck")


def role_of(function: object) -> Role | None:
    """Return the role that a suite's function is marked with, None if it is not marked."""
    found = getattr(function, ROLE, None)
    return found if found in ("seed", "check", "wreck") else None


def _mark(function: F, role: Role) -> F:
    if role_of(function):
        raise UsageError(
            f"'{function.__name__}' is marked twice; a function is seed, check or wreck"
        )
    setattr(function, ROLE, role)
    return function


def asserts_something(function: Callable[..., Any]) -> bool:
    """Return True if a function, or one of the same file that it calls, contains an assertion."""
    path = inspect.getsourcefile(function)
    if path is None:
        return True
    bodies = _functions(Path(path))
    seen: set[str] = set()
    queue = [function.__name__]
    while queue:
        name = queue.pop()
        if name in seen or name not in bodies:
            continue
        seen.add(name)
        if any(_asserts(node) for node in ast.walk(bodies[name])):
            return True
        queue += _called(bodies[name])
    return False


def _functions(path: Path) -> dict[str, ast.AST]:
    tree = ast.parse(path.read_text())
    return {
        node.name: node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return not isinstance(node.test, ast.Constant)
    return isinstance(node, ast.Call) and _name(node.func) in ASSERTING_CALLS


def _called(body: ast.AST) -> list[str]:
    return [_name(node.func) for node in ast.walk(body) if isinstance(node, ast.Call)]


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
