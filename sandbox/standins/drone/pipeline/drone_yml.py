"""Parser for `.drone.yml`: its pipelines, their triggers and their steps.

Refuses keys and values that the stand-in does not support.
"""

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
    """The file is invalid, or uses something that the stand-in does not support."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Patterns of which one has to match, and patterns of which none may match."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def matches(self, value: str) -> bool:
        """Return True if a value passes; without patterns every value does."""
        if any(glob_matches(pattern, value) for pattern in self.exclude):
            return False
        return not self.include or any(glob_matches(pattern, value) for pattern in self.include)


@dataclass(frozen=True, slots=True)
class When:
    """The conditions of a pipeline or a step."""

    event: Condition = Condition()
    branch: Condition = Condition()

    def matches(self, event: str, branch: str) -> bool:
        """Return True if event and branch match."""
        return self.event.matches(event) and self.branch.matches(branch)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipeline."""

    name: str
    commands: tuple[str, ...]
    environment: Mapping[str, str]
    when: When
    on_success: bool
    on_failure: bool
    failure_ignored: bool  # its failure does not count


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline: one YAML document of the file."""

    name: str
    trigger: When
    limit: int  # builds of it that may run at the same time; 0 for any number
    steps: tuple[Step, ...]


def parse(text: str) -> list[Pipeline]:
    """Return the pipelines of a file.

    Raises:
        PipelineError: the file is not valid YAML, or uses something that the stand-in does not support.
    """
    try:
        # every scalar stays text: `A: 1.10` is not a number
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
    """Split a file as Drone does: a comment before the first separator is a document, without a kind."""
    lines, parts = text.split("\n"), [""]
    for number, line in enumerate(lines):
        if line.startswith("---"):
            parts += [""] if number else []
        else:
            parts[-1] += f"{line}\n"
    return parts


def glob_matches(pattern: str, value: str) -> bool:
    """Return True if a value matches a pattern; `*` and `?` do not match a slash."""
    return re.fullmatch("".join(_regex_parts(pattern)), value) is not None


def _regex_parts(pattern: str) -> Iterable[str]:
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
            f"the stand-in only supports kind 'pipeline', type 'exec', not '{kind}', '{type_}'"
        )
    name = _text("a pipeline", "name", found.get("name", "default"))
    where = f"pipeline '{name}'"
    _require_known(where, found, PIPELINE_KEYS)
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
    _require_known(f"{where}: concurrency", values, ("limit",))
    text = values.get("limit", "0")
    if not isinstance(text, str) or not text.isdecimal():
        raise PipelineError(f"{where}: concurrency.limit is {text!r}; it must be a whole number")
    return int(text)


def _step(where: str, document: object) -> Step:
    found = _mapping(f"{where}: a step", document)
    name = _text(where, "the name of a step", found.get("name", ""))
    if name in ("", "clone"):
        raise PipelineError(f"{where}: invalid or missing step name '{name}'")
    step_where = f"{where}, step '{name}'"
    if "image" in found:
        raise PipelineError("Linter: cannot define images for an exec pipeline")
    _require_known(step_where, found, STEP_KEYS)
    failure = found.get("failure", "")
    if failure not in ("", "ignore"):
        raise PipelineError(
            f"{step_where}: failure is {failure!r}; the stand-in only supports 'ignore'"
        )
    when, status = _when(step_where, "when", found.get("when"))
    return Step(
        name=name,
        commands=tuple(
            _text(step_where, "a command", c)
            for c in _list(step_where, "commands", found.get("commands"))
        ),
        environment=_environment(step_where, found.get("environment")),
        when=when,
        on_success=status.matches("success"),
        on_failure=bool(status.include or status.exclude) and status.matches("failure"),
        failure_ignored=failure == "ignore",
    )


def _environment(where: str, found: object) -> dict[str, str]:
    values = _mapping(f"{where}: environment", found)
    for key, value in values.items():
        if not isinstance(value, str):
            raise PipelineError(
                f"{where}: environment {key}: the stand-in only supports plain values"
            )
    return values


def _when(where: str, key: str, found: object) -> tuple[When, Condition]:
    """Return the conditions on event and branch, and a step's condition on the status so far."""
    values = _mapping(f"{where}: {key}", found)
    _require_known(
        f"{where}: {key}", values, ("event", "branch", *(("status",) if key == "when" else ()))
    )
    parts = {name: _condition(f"{where}: {key}.{name}", value) for name, value in values.items()}
    status = parts.pop("status", Condition())
    for state in (*status.include, *status.exclude):
        if state not in STATES:
            raise PipelineError(f"{where}: the stand-in does not support {key}.status '{state}'")
    return When(**parts), status


def _condition(where: str, found: object) -> Condition:
    if isinstance(found, dict):
        _require_known(where, found, ("include", "exclude"))
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
        raise PipelineError(f"{where}: {key} must be text, not {found!r}")
    return found


def _require_known(where: str, found: Mapping[str, object], keys: Sequence[str]) -> None:
    for key in found:
        if key not in keys:
            raise PipelineError(f"{where}: the stand-in does not support the key '{key}'")
