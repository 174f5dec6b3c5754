"""A `.drone.yml`: its pipelines, what starts them, and what of it the stand-in refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

PIPELINE_KEYS = ("kind", "type", "name", "platform", "trigger", "steps", "concurrency")
STEP_KEYS = ("name", "commands", "environment", "when", "failure")
STATES = ("success", "failure")


class PipelineError(Exception):
    """The file cannot be used: what it says wrong, or what the stand-in does not model."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Patterns of which one must fit, and patterns of which none may."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def holds(self, value: str) -> bool:
        """Say whether a value passes; no pattern at all lets everything pass."""
        if any(fits(pattern, value) for pattern in self.exclude):
            return False
        return not self.include or any(fits(pattern, value) for pattern in self.include)


@dataclass(frozen=True, slots=True)
class When:
    """What must hold for a pipeline or a step."""

    event: Condition = Condition()
    branch: Condition = Condition()

    def holds(self, event: str, branch: str) -> bool:
        """Say whether both conditions hold."""
        return self.event.holds(event) and self.branch.holds(branch)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline."""

    name: str
    commands: tuple[str, ...]
    environment: Mapping[str, str]
    when: When
    on_success: bool
    on_failure: bool
    ignored: bool  # its failure does not count


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One document of the file."""

    name: str
    trigger: When
    limit: int  # builds of it at once, 0 for any number
    steps: tuple[Step, ...]


def read(text: str) -> list[Pipeline]:
    """Return the pipelines of a file.

    Raises:
        PipelineError: it is no YAML, or says something that the stand-in does not model.
    """
    try:
        # every scalar stays the text that it is, as in `A: 1.10`
        documents = [yaml.load(part, Loader=yaml.BaseLoader) for part in _documents(text)]
    except yaml.MarkedYAMLError as error:
        line = (error.problem_mark.line + 1) if error.problem_mark else 0
        raise PipelineError(f"yaml: line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise PipelineError(f"yaml: {error}") from error
    pipelines = [_pipeline(document) for document in documents]
    if len({p.name for p in pipelines}) < len(pipelines):
        raise PipelineError("linter: duplicate pipeline names")
    return pipelines


def _documents(text: str) -> list[str]:
    """Cut a file where Drone does: comments before a first separator are a document too, without a kind."""
    lines, parts = text.split("\n"), [""]
    for number, line in enumerate(lines):
        if line.startswith("---"):
            parts += [""] if number else []
        else:
            parts[-1] += f"{line}\n"
    return parts


def fits(pattern: str, value: str) -> bool:
    """Say whether a value matches a pattern; `*` and `?` stop at a slash."""
    return re.fullmatch("".join(_glob(pattern)), value) is not None


def _glob(pattern: str) -> Iterable[str]:
    for part in re.findall(r"\*|\?|\[[^]]*\]|[^*?\[]+|\[", pattern):
        if part == "*":
            yield "[^/]*"
        elif part == "?":
            yield "[^/]"
        elif part.endswith("]") and part.startswith("["):
            yield part
        else:
            yield re.escape(part)


def _pipeline(document: object) -> Pipeline:
    found = _mapping("a pipeline", document or {})
    if "kind" not in found:
        raise PipelineError("yaml: missing kind attribute")
    kind, type_ = found.get("kind", ""), found.get("type", "")
    if (kind, type_) != ("pipeline", "exec"):
        raise PipelineError(
            f"the stand-in models kind 'pipeline', type 'exec', not '{kind}', '{type_}'"
        )
    name = _text("a pipeline", "name", found.get("name", "default"))
    where = f"pipeline '{name}'"
    _known(where, found, PIPELINE_KEYS)
    _platform(where, found.get("platform"))
    steps = [_step(where, step) for step in _list(where, "steps", found.get("steps"))]
    names = [step.name for step in steps]
    if len(set(names)) < len(names):
        raise PipelineError(f"{where}: duplicate step name")
    when, _ = _when(where, "trigger", found.get("trigger"))
    return Pipeline(name, when, _limit(where, found.get("concurrency")), tuple(steps))


def _platform(where: str, found: object) -> None:
    for key, value in _mapping(f"{where}: platform", found).items():
        if {"os": "linux", "arch": "amd64"}.get(key) != value:
            raise PipelineError(f"{where}: platform {key} '{value}' has no runner here")


def _limit(where: str, found: object) -> int:
    values = _mapping(f"{where}: concurrency", found)
    _known(f"{where}: concurrency", values, ("limit",))
    text = values.get("limit", "0")
    if not isinstance(text, str) or not text.isdecimal():
        raise PipelineError(f"{where}: concurrency.limit is {text!r}; it must be a whole number")
    return int(text)


def _step(where: str, document: object) -> Step:
    found = _mapping(f"{where}: a step", document)
    name = _text(where, "the name of a step", found.get("name", ""))
    if name in ("", "clone"):
        raise PipelineError(f"{where}: invalid or missing step name '{name}'")
    place = f"{where}, step '{name}'"
    if "image" in found:
        raise PipelineError("Linter: cannot define images for an exec pipeline")
    _known(place, found, STEP_KEYS)
    failure = found.get("failure", "")
    if failure not in ("", "ignore"):
        raise PipelineError(f"{place}: failure is {failure!r}; only 'ignore' is modelled")
    when, status = _when(place, "when", found.get("when"))
    return Step(
        name=name,
        commands=tuple(
            _text(place, "a command", c) for c in _list(place, "commands", found.get("commands"))
        ),
        environment=_environment(place, found.get("environment")),
        when=when,
        on_success=status.holds("success"),
        on_failure=bool(status.include or status.exclude) and status.holds("failure"),
        ignored=failure == "ignore",
    )


def _environment(where: str, found: object) -> dict[str, str]:
    values = _mapping(f"{where}: environment", found)
    for key, value in values.items():
        if not isinstance(value, str):
            raise PipelineError(f"{where}: environment {key}: only plain values are modelled")
    return values


def _when(where: str, key: str, found: object) -> tuple[When, Condition]:
    """Return the conditions on event and branch, and for a step that on the status so far."""
    values = _mapping(f"{where}: {key}", found)
    _known(f"{where}: {key}", values, ("event", "branch", *(("status",) if key == "when" else ())))
    parts = {name: _condition(f"{where}: {key}.{name}", value) for name, value in values.items()}
    status = parts.pop("status", Condition())
    for state in (*status.include, *status.exclude):
        if state not in STATES:
            raise PipelineError(f"{where}: {key}.status '{state}' is not modelled")
    return When(**parts), status


def _condition(where: str, found: object) -> Condition:
    if isinstance(found, dict):
        _known(where, found, ("include", "exclude"))
        lists = {name: tuple(_patterns(where, value)) for name, value in found.items()}
        return Condition(**lists)
    return Condition(tuple(_patterns(where, found)))


def _patterns(where: str, found: object) -> Sequence[str]:
    return [_text(where, "a pattern", value) for value in _list(where, "it", found)]


def _mapping(where: str, found: object) -> dict[str, Any]:
    if found is None or found == "":
        return {}
    if not isinstance(found, dict):
        raise PipelineError(f"{where} must be a mapping, not {found!r}")
    return found


def _list(where: str, key: str, found: object) -> list[object]:
    if found is None or found == "":
        return []
    return found if isinstance(found, list) else [found]


def _text(where: str, key: str, found: object) -> str:
    if not isinstance(found, str):
        raise PipelineError(f"{where}: {key} must be a text, not {found!r}")
    return found


def _known(where: str, found: Mapping[str, object], keys: Sequence[str]) -> None:
    for key in found:
        if key not in keys:
            raise PipelineError(f"{where}: the stand-in does not model the key '{key}'")
