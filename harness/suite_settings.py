"""`recipe.yml` beside a suite: plain settings, one loader, unknown keys are errors.

Every key is a field here and nowhere else, so that a key cannot be documented and dead (incident
I1). A key whose reader is still to be written stands in PENDING: it is refused, and not documented.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from harness import compose, plan
from harness.errors import SettingError

PENDING = frozenset(["timeouts.upgrade", "dependencies", "probes", "allow"])


def _known_hazard(kind: str) -> str:
    if kind not in compose.HAZARDS:
        raise ValueError(f"there is no hazard '{kind}'{_near(kind, compose.HAZARDS)}")
    return kind


Seconds = Annotated[int, Field(ge=1)]
Status = Annotated[int, Field(ge=100, le=599)]
Port = Annotated[int, Field(ge=1, le=65535)]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/\S*$")]
EnvKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
FileName = Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*\.ya?ml$")]
Reason = Annotated[str, StringConstraints(pattern=r"\S")]
HazardKind = Annotated[str, AfterValidator(_known_hazard)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Health(_Strict):
    """How the app says that it is up."""

    path: UrlPath = Field(default="/", description="path asked through the proxy")
    statuses: Annotated[list[Status], Field(min_length=1)] = Field(
        default=[200, 301, 302], description="statuses that count as up"
    )


class Timeouts(_Strict):
    """Bounds in seconds."""

    deploy: Seconds = Field(default=600, description="a deployment until it settled")
    health: Seconds = Field(default=300, description="settled until the route answers")
    backup: Seconds = Field(default=300, description="one backup")
    restore: Seconds = Field(default=300, description="one restore")
    upgrade: Seconds = Field(default=600, description="the upgrade until it settled")


class Probes(_Strict):
    """What else must answer before the app counts as up."""

    tcp: list[Port] = Field(default=[], description="ports that must accept a connection")


class SuiteSettings(_Strict):
    """The settings of one suite; all optional."""

    health: Health = Field(default=Health(), description="how the app says that it is up")
    timeouts: Timeouts = Field(default=Timeouts(), description="bounds in seconds")
    env: dict[EnvKey, str] = Field(default={}, description="values set in the app's env file")
    compose_overlays: list[FileName] = Field(
        default=[], description="compose files of the suite, added to all"
    )
    not_applicable: dict[str, Reason] = Field(default={}, description="stage: why it cannot apply")
    dependencies: list[str] = Field(default=[], description="recipes that must run beside this one")
    probes: Probes = Field(default=Probes(), description="what else must answer")
    allow: list[HazardKind] = Field(default=[], description="hazards that the recipe may contain")


def load(path: Path) -> SuiteSettings:
    """Read a recipe.yml; without the file everything has its default.

    Raises:
        SettingError: names file, line and key, and what was probably meant.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return SuiteSettings()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"cannot read {path}: {error}") from error
    node, values = _parsed(path, text)
    _refuse_twice(path, node)
    try:
        found = SuiteSettings.model_validate(values)
    except ValidationError as error:
        raise SettingError(_sentence(path, node, error)) from error
    _refuse_pending(path, node, found)
    for stage in found.not_applicable:
        if stage not in plan.STAGES:
            line = _line(node, ("not_applicable", stage))
            raise SettingError(
                f"{path}:{line}: there is no stage '{stage}'{_near(stage, plan.STAGES)}"
            )
    return found


def _parsed(path: Path, text: str) -> tuple[yaml.Node | None, dict[str, Any]]:
    """Return the document as nodes, which know their lines, and as values."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = " ".join((getattr(error, "problem", None) or str(error)).split())
        raise SettingError(f"{path}:{line}: not readable as YAML: {problem}") from error
    if values is not None and not isinstance(values, dict):
        raise SettingError(f"{path}:1: must hold 'key: value' lines, but is '{str(values)[:60]}'")
    return node, values or {}


def _refuse_twice(path: Path, node: yaml.Node | None) -> None:
    """Refuse a key that stands twice in one map: YAML would silently take the later one."""
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if key.value in seen:
            first = seen[key.value]
            raise SettingError(f"{path}:{line}: '{key.value}' stands in line {first} already")
        seen[key.value] = line
        _refuse_twice(path, value)


def _refuse_pending(path: Path, node: yaml.Node | None, found: BaseModel, above: str = "") -> None:
    for name in sorted(found.model_fields_set):
        key = f"{above}{name}"
        if key in PENDING:
            line = _line(node, tuple(key.split(".")))
            raise SettingError(f"{path}:{line}: nothing reads '{key}' yet, so it may not be set")
        value = getattr(found, name)
        if isinstance(value, BaseModel):
            _refuse_pending(path, node, value, f"{key}.")


def _sentence(path: Path, node: yaml.Node | None, error: ValidationError) -> str:
    first = error.errors()[0]
    where = tuple(part for part in first["loc"] if part != "[key]")
    key = ".".join(map(str, where))
    line = _line(node, where)
    if first["type"] == "extra_forbidden":
        return f"{path}:{line}: unknown key '{key}'{_near(str(where[-1]), _known(where[:-1]))}"
    message = first["msg"].removeprefix("Value error, ")
    why = message[:1].lower() + message[1:]
    text = f"{path}:{line}: '{key}' is wrong: {why}, but it is {first['input']!r}"
    is_plain = isinstance(first["input"], bool | int | float)
    return f"{text}; write it in quotes" if first["type"] == "string_type" and is_plain else text


def _known(where: tuple[int | str, ...]) -> list[str]:
    """Return the keys that are allowed below a place."""
    found = SuiteSettings() if not where else getattr(SuiteSettings(), str(where[0]))
    above = f"{where[0]}." if where else ""
    return [name for name in type(found).model_fields if f"{above}{name}" not in PENDING]


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known are: {', '.join(known)}"


def _line(node: yaml.Node | None, where: tuple[int | str, ...]) -> int:
    """Return the line of a key or list entry, as far as the path leads."""
    line = 1
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


def registry(model: type[BaseModel] = SuiteSettings, above: str = "") -> Iterator[dict[str, str]]:
    """Yield every key that may be set: its dotted name, type, default and meaning."""
    for name, field in model.model_fields.items():
        if f"{above}{name}" in PENDING:
            continue
        default: Any = field.default
        if isinstance(default, BaseModel):
            yield from registry(type(default), f"{above}{name}.")
            continue
        yield {
            "key": f"{above}{name}",
            "type": _type(default),
            "default": str(default),
            "meaning": field.description or "",
        }


def _type(default: Any) -> str:
    words = {str: "text", int: "whole number", list: "list", dict: "map"}
    return words[type(default)]


def document() -> str:
    """Return the table of all keys for the documentation, made from the fields themselves."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{r['key']}` | {r['type']} | `{r['default']}` | {r['meaning']} |" for r in registry()
    ]
    return "\n".join(rows) + "\n"
