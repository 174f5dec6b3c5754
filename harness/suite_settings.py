"""`recipe.yml` beside a suite: plain settings, one loader, unknown keys are errors.

Every key is a field here and nowhere else, so that a key cannot be documented and dead (incident I1).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness import plan
from harness.errors import SettingError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Health(_Strict):
    """How the app says that it is up."""

    path: str = Field(default="/", description="path asked through the proxy")
    statuses: list[int] = Field(default=[200, 301, 302], description="statuses that count as up")


class Timeouts(_Strict):
    """Bounds in seconds."""

    deploy: int = Field(default=600, ge=1, description="a deployment until it settled")
    health: int = Field(default=300, ge=1, description="settled until the route answers")
    backup: int = Field(default=300, ge=1, description="one backup")
    restore: int = Field(default=300, ge=1, description="one restore")


class SuiteSettings(_Strict):
    """The settings of one suite; all optional."""

    health: Health = Field(default=Health(), description="how the app says that it is up")
    timeouts: Timeouts = Field(default=Timeouts(), description="bounds in seconds")
    env: dict[str, str] = Field(default={}, description="values set in the app's env file")
    compose_overlays: list[str] = Field(
        default=[], description="compose files of the suite, added to all"
    )
    not_applicable: dict[str, str] = Field(default={}, description="stage: why it cannot apply")


def load(path: Path) -> SuiteSettings:
    """Read a recipe.yml; without the file everything has its default.

    Raises:
        SettingError: names file, line and key, and what was probably meant.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return SuiteSettings()
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text) or {}
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingError(
            f"{path} is not readable as YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(values, dict):
        raise SettingError(f"{path} must hold 'key: value' lines")
    try:
        found = SuiteSettings.model_validate(values)
    except ValidationError as error:
        raise SettingError(_sentence(path, node, error)) from error
    for stage in found.not_applicable:
        if stage not in plan.STAGES:
            line = _line(node, ("not_applicable", stage))
            raise SettingError(
                f"{path}:{line}: there is no stage '{stage}'{_near(stage, plan.STAGES)}"
            )
    return found


def _sentence(path: Path, node: Any, error: ValidationError) -> str:
    first = error.errors()[0]
    where = tuple(first["loc"])
    key = ".".join(map(str, where))
    line = _line(node, where)
    if first["type"] == "extra_forbidden":
        return f"{path}:{line}: unknown key '{key}'{_near(str(where[-1]), _known(where[:-1]))}"
    return f"{path}:{line}: '{key}' is wrong: {first['msg'].lower()}, but it is {first['input']!r}"


def _known(where: tuple[int | str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {"health": Health, "timeouts": Timeouts}
    model = models.get(str(where[0]) if where else "", SuiteSettings)
    return list(model.model_fields)


def _near(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(known)}"


def _line(node: Any, where: tuple[int | str, ...]) -> int:
    """Return the line of a key, as far as the path leads."""
    line = 1
    for part in where:
        if not isinstance(node, yaml.MappingNode):
            return line
        for key, value in node.value:
            if key.value == str(part):
                line, node = key.start_mark.line + 1, value
                break
    return line


def document() -> str:
    """Return the table of all keys for the documentation, made from the fields themselves."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name, field in SuiteSettings.model_fields.items():
        default: Any = field.default
        if isinstance(default, BaseModel):
            inner: Mapping[str, Any] = type(default).model_fields
            rows += [
                f"| `{name}.{k}` | `{f.default}` | {f.description} |" for k, f in inner.items()
            ]
        else:
            rows.append(f"| `{name}` | `{default}` | {field.description} |")
    return "\n".join(rows) + "\n"
