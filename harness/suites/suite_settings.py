"""`recipe.yml` beside a suite: plain settings, one loader, unknown keys are errors.

Every key is a field here and nowhere else, so that a key cannot be documented and dead (incident
I1). A key whose reader is still to be written stands in PENDING: it is refused, and not documented.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from harness import plan
from harness.recipe import hazards
from harness.suites import strict_yaml
from harness.suites.strict_yaml import Document, Where, near

PENDING = frozenset(["timeouts.upgrade", "dependencies"])


def _known_hazard(kind: str) -> str:
    if kind not in hazards.HAZARDS:
        raise ValueError(f"there is no hazard '{kind}'{near(kind, hazards.HAZARDS)}")
    return kind


Seconds = Annotated[int, Field(ge=1)]
Status = Annotated[int, Field(ge=100, le=599)]
Target = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][\w-]*:[1-9][0-9]{0,4}$")]
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

    tcp: list[Target] = Field(
        default=[], description="`service:port`, each to accept three connections in a row"
    )


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
    allow: list[HazardKind] = Field(
        default=[], description="what the recipe may ask of the host, by name"
    )


def load(path: Path) -> SuiteSettings:
    """Read a recipe.yml; without the file everything has its default.

    Raises:
        SettingError: names file, line and key, and what was probably meant.
    """
    document = strict_yaml.read(path)
    found = strict_yaml.checked(document, SuiteSettings, _known)
    _refuse_pending(document, found)
    for stage in found.not_applicable:
        if stage not in plan.STAGES:
            why = f"there is no stage '{stage}'{near(stage, plan.STAGES)}"
            raise document.wrong(("not_applicable", stage), why)
    return found


def _refuse_pending(document: Document, found: BaseModel, above: str = "") -> None:
    for name in sorted(found.model_fields_set):
        key = f"{above}{name}"
        if key in PENDING:
            why = f"nothing reads '{key}' yet, so it may not be set"
            raise document.wrong(tuple(key.split(".")), why)
        value = getattr(found, name)
        if isinstance(value, BaseModel):
            _refuse_pending(document, value, f"{key}.")


def _known(where: Where) -> list[str]:
    """Return the keys that are allowed below a place."""
    found = SuiteSettings() if not where else getattr(SuiteSettings(), str(where[0]))
    above = f"{where[0]}." if where else ""
    return [name for name in type(found).model_fields if f"{above}{name}" not in PENDING]


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
