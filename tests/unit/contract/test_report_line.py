"""Marked lines: what the harness writes is what a reader gets."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import contract
from contract import marker
from contract.report_line import CaseFinished, RunReport, RunStarted, StageStarted, parse
from harness.reporting import events, report, report_line
from tests.support import event_factory

SOURCES = sorted(Path(contract.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_contract_imports_nothing_else_of_the_project(path: Path) -> None:
    """Readers of runs can use it without the harness."""
    tree = ast.parse(path.read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"harness", "bridge", "sandbox", "recipes_tests", "tests"}
    assert not {module.partition(".")[0] for module in modules} & ours


@pytest.mark.parametrize("name", event_factory.NAMES)
def test_a_stored_run_is_read_as_it_was_written(name: str) -> None:
    """The writer sets every field of the model."""
    written = report.build(event_factory.stored(name))
    read = parse(report_line.line(written))
    assert isinstance(read, RunReport)
    assert read.model_fields_set == set(RunReport.model_fields)
    assert (read.verdict, read.ref, read.level) == (written.verdict, written.ref, written.level)
    assert [stage.name for stage in read.stages] == [stage.name for stage in written.stages]
    assert marker.decode(read.line()) == marker.decode(report_line.line(written))


def test_the_public_events_of_a_run_are_read_as_typed_values() -> None:
    """The end of a run has no model: its report says more."""
    found = [event for event in event_factory.stored("green") if events.marked(event)]
    read = [parse(events.marked(event) or "") for event in found]
    models = {"run-started": RunStarted, "stage-started": StageStarted, "case": CaseFinished}
    assert [type(value) for value in read] == [
        models.get(event.name, type(None)) for event in found
    ]
