"""What an author marks in a suite: `@seed`, `@check`, `@wreck`; and whether a suite proves anything.

A check that asserts nothing can only pass. It is refused when pytest collects it, by reading its
source: somewhere in it, or in a function of the same file that it calls, an assertion on something
other than a constant must stand, or a call on the app that raises by itself.
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
    """Mark a function that creates what an owner would create; it runs once in every life."""
    return _mark(function, "seed")


def check(function: F) -> F:
    """Mark a function that asserts what must hold after install, redeploy, restore and upgrade."""
    return _mark(function, "check")


def wreck(function: F) -> F:
    """Mark a function that destroys, inside the app, what a backup must bring back."""
    return _mark(function, "wreck")


def role_of(function: object) -> Role | None:
    """Return the role a suite's function was marked with, or None."""
    found = getattr(function, ROLE, None)
    return found if found in ("seed", "check", "wreck") else None


def _mark(function: F, role: Role) -> F:
    if role_of(function):
        raise UsageError(
            f"'{function.__name__}' is marked twice; a function is seed, check or wreck"
        )
    setattr(function, ROLE, role)
    return function


def proves_something(function: Callable[..., Any]) -> bool:
    """Say whether a function can fail by an assertion of its own or of a function it calls."""
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
