"""Strict reading of YAML settings files: anything unknown or wrong is an error with file, line and key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from harness.errors import SettingError

M = TypeVar("M", bound=BaseModel)
Where = tuple[int | str, ...]  # the keys and list indexes that lead to a value


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its values, and its YAML nodes, which have line numbers."""

    path: Path
    node: yaml.Node | None
    values: dict[str, Any]

    def line(self, where: Where) -> int:
        """Return the line of a key or list entry, or of its nearest parent that exists."""
        line, node = 1, self.node
        for part in where:
            if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = node.value[part]
                line = node.start_mark.line + 1
                continue
            if not isinstance(node, yaml.MappingNode):
                return line
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
        return line

    def error(self, where: Where, why: str) -> SettingError:
        """Return an error for a value: file, line, reason."""
        return SettingError(f"{self.path}:{self.line(where)}: {why}")


def read(path: Path) -> Document:
    """Read a file of `key: value` lines; a missing file is empty.

    Raises:
        SettingError: the file cannot be read, is not YAML, is not a map, or has a key twice.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return Document(path, None, {})
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"cannot read {path}: {error}") from error
    document = _parsed(path, text)
    _refuse_duplicates(path, document.node)
    return document


def _parsed(path: Path, text: str) -> Document:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = " ".join((getattr(error, "problem", None) or str(error)).split())
        raise SettingError(f"{path}:{line}: not readable as YAML: {problem}") from error
    if values is not None and not isinstance(values, dict):
        raise SettingError(
            f"{path}:1: must contain 'key: value' lines, but is '{str(values)[:60]}'"
        )
    return Document(path, node, values or {})


def _refuse_duplicates(path: Path, node: yaml.Node | None) -> None:
    """Refuse a key that appears twice in one map: YAML would silently take the later one."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            first = seen[key.value]
            raise SettingError(f"{path}:{line}: '{key.value}' is already set in line {first}")
        seen[key.value] = line
        _refuse_duplicates(path, value)


def checked(document: Document, model: type[M], known: Callable[[Where], Iterable[str]]) -> M:
    """Return a document's values as a model.

    Args:
        document: the file as read.
        model: the pydantic model of its values.
        known: returns the keys that are allowed below a value.

    Raises:
        SettingError: an unknown key, with the one that was probably meant, or a wrong value.
    """
    try:
        return model.model_validate(document.values)
    except ValidationError as error:
        raise _error(document, error, known) from error


def _error(
    document: Document, error: ValidationError, known: Callable[[Where], Iterable[str]]
) -> SettingError:
    first = error.errors()[0]
    where = tuple(part for part in first["loc"] if part != "[key]")
    key = ".".join(map(str, where))
    if first["type"] == "extra_forbidden":
        meant = near(str(where[-1]), known(where[:-1]))
        return document.error(where, f"unknown key '{key}'{meant}")
    message = first["msg"].removeprefix("Value error, ")
    why = message[:1].lower() + message[1:]
    text = f"'{key}' is wrong: {why}, but it is {first['input']!r}"
    is_plain = isinstance(first["input"], bool | int | float)
    quotes = "; write it in quotes" if first["type"] == "string_type" and is_plain else ""
    return document.error(where, text + quotes)


def near(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown word: the similar known one, or all known ones."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names)}"
