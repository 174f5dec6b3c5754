"""Load a recipe's YAML files within bounds: they come from an untrusted pull request.

Files over 1 MiB are refused, and so are files that YAML aliases expand to a multiple of their size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.errors import RecipeFailure
from harness.recipe.limits import MAX_FILE_SIZE

# Characters of one file with its aliases written out, and 16 more for each value.
MAX_EXPANDED_SIZE = 4 * 1024 * 1024
MAX_DEPTH = 50  # levels of nesting
MAX_NUMBER_LENGTH = 100  # characters
MERGE_TAG = "tag:yaml.org,2002:merge"


def require_readable(checkout: Path) -> None:
    """Read every compose file of a checkout: `abra recipe lint` reads them all, enabled or not.

    Raises:
        RecipeFailure: see `read_file`.
    """
    for path in sorted(checkout.glob("compose*.y*ml")):
        read_file(checkout, path.name)


def read_file(checkout: Path, name: str) -> dict[str, Any]:
    """Return the content of a compose file.

    Raises:
        RecipeFailure: the file is outside of the checkout, missing, too large, or not a YAML map.
            The message names the file and, if known, the line.
    """
    path = checkout / name
    if not path.resolve().is_relative_to(checkout.resolve()):
        raise RecipeFailure(f"COMPOSE_FILE names '{name}', which is outside of the recipe")
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise RecipeFailure(f"'{name}' of the recipe is larger than 1 MiB")
        loaded = _parse(path.read_text(), name)
    except OSError as error:
        raise RecipeFailure(f"cannot read '{name}' of the recipe: {error.strerror}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RecipeFailure(_invalid_yaml(name, error)) from error
    if not isinstance(loaded, dict):
        raise RecipeFailure(f"'{name}' of the recipe is not a compose file: it has no keys")
    return loaded


def _parse(text: str, name: str) -> Any:
    """Return a document's value; its size is checked before its aliases are expanded."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _expanded_size(node, {}, 0) > MAX_EXPANDED_SIZE:
            raise RecipeFailure(
                f"'{name}' of the recipe expands to more than 4 MiB through YAML aliases"
            )
        _refuse_late_merges(node, name, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _expanded_size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Return the size of a node with its aliases written out; a self-reference counts as too large.

    Raises:
        ValueError: nested too deeply, or a number with too many digits.
    """
    if id(node) not in known:
        if depth > MAX_DEPTH:
            raise ValueError("too deeply nested")
        known[id(node)] = MAX_EXPANDED_SIZE + 1
        if isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        else:
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
        own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        if own > MAX_NUMBER_LENGTH and node.tag.endswith((":int", ":float")):
            raise ValueError(f"a number of {own} characters")
        known[id(node)] = 16 + own + sum(_expanded_size(part, known, depth + 1) for part in inner)
    return known[id(node)]


def _refuse_late_merges(node: yaml.Node, name: str, seen: set[int]) -> None:
    """Refuse `<<` after a key that it also contains: YAML libraries disagree about which value wins.

    Raises:
        RecipeFailure: names file and line.
    """
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        before: set[str] = set()
        for key, value in node.value:
            twice = before & _keys(value) if key.tag == MERGE_TAG else set()
            if twice:
                raise RecipeFailure(
                    f"'{name}' of the recipe, line {key.start_mark.line + 1}: '<<' comes after the "
                    f"key '{min(twice)}', which it also contains, and YAML libraries disagree about "
                    "which value wins; put '<<' first"
                )
            before.add(str(key.value))
            _refuse_late_merges(value, name, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_late_merges(item, name, seen)


def _keys(node: yaml.Node) -> set[str]:
    """Return the keys that `<<` takes from a map or a list of maps, nested `<<` included."""
    if isinstance(node, yaml.SequenceNode):
        return set().union(*(_keys(item) for item in node.value))
    if not isinstance(node, yaml.MappingNode):
        return set()
    merged = (_keys(value) for key, value in node.value if key.tag == MERGE_TAG)
    return {str(key.value) for key, _ in node.value}.union(*merged)


def _invalid_yaml(name: str, error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    why = "too deeply nested" if isinstance(error, RecursionError) else str(error)
    problem = " ".join((getattr(error, "problem", None) or why).split())
    return f"'{name}' of the recipe{line}: invalid YAML: {problem}"


def scalar_text(value: Any) -> str:
    """Return a YAML scalar as Docker reads it as text: "" for null, `true` for a boolean."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
