"""`recipe.yml` of a suite: its settings, their loader and their documentation.

Every key is a field of `SuiteSettings` and is documented from there, so that no documented key is without
effect (incident I1).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from harness import plan
from harness.recipe import hazards
from harness.suites import strict_yaml
from harness.suites.strict_yaml import Where, near


def _known_hazard(kind: str) -> str:
    if kind not in hazards.HAZARDS:
        raise ValueError(f"unknown hazard '{kind}'{near(kind, hazards.HAZARDS)}")
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
    """How to tell that the app is up."""

    path: UrlPath = Field(default="/", description="path requested through the proxy")
    statuses: Annotated[list[Status], Field(min_length=1)] = Field(
        default=[200, 301, 302], description="HTTP statuses that count as up"
    )


class Timeouts(_Strict):
    """Timeouts in seconds."""

    deploy: Seconds = Field(
        default=600, description="from a deployment until it is settled, in seconds"
    )
    health: Seconds = Field(
        default=300, description="from settled until the route answers, in seconds"
    )
    backup: Seconds = Field(default=300, description="one backup, in seconds")
    restore: Seconds = Field(default=300, description="one restore, in seconds")


class Probes(_Strict):
    """What else must answer before the app counts as up."""

    tcp: list[Target] = Field(
        default=[], description="`service:port`; each must accept three connections in a row"
    )


class SuiteSettings(_Strict):
    """The settings of one suite; all are optional."""

    health: Health = Field(default=Health(), description="how to tell that the app is up")
    timeouts: Timeouts = Field(default=Timeouts(), description="timeouts in seconds")
    env: dict[EnvKey, str] = Field(default={}, description="values set in the app's env file")
    compose_overlays: list[FileName] = Field(
        default=[], description="compose files in the suite's folder, added to each deployment"
    )
    not_applicable: dict[str, Reason] = Field(
        default={}, description="stage: why it does not apply"
    )
    probes: Probes = Field(default=Probes(), description="what else must answer")
    allow: list[HazardKind] = Field(
        default=[], description="what the recipe may ask of the host, by name"
    )


def load(path: Path) -> SuiteSettings:
    """Read a recipe.yml; without the file everything has its default.

    Args:
        path: the file's path.

    Raises:
        SettingError: names file, line and key, and what was probably meant.
    """
    document = strict_yaml.read(path)
    found = strict_yaml.checked(document, SuiteSettings, _known)
    for stage in found.not_applicable:
        if stage not in plan.STAGES:
            why = f"unknown stage '{stage}'{near(stage, plan.STAGES)}"
            raise document.error(("not_applicable", stage), why)
    return found


def _known(where: Where) -> list[str]:
    """Return the keys that are allowed below a value."""
    group = getattr(SuiteSettings(), str(where[0])) if where else SuiteSettings()
    return list(type(group).model_fields)


def documented_keys(
    model: type[BaseModel] = SuiteSettings, above: str = ""
) -> Iterator[dict[str, str]]:
    """Yield every key: its dotted name, type, default and meaning."""
    for name, field in model.model_fields.items():
        default: Any = field.default
        if isinstance(default, BaseModel):
            yield from documented_keys(type(default), f"{above}{name}.")
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
    """Return the table of all keys for the documentation, made from the fields."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{r['key']}` | {r['type']} | `{r['default']}` | {r['meaning']} |"
        for r in documented_keys()
    ]
    return "\n".join(rows) + "\n"
