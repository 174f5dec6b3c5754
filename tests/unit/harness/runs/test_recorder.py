"""The recorder of a run's events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import InfraError
from harness.runs.record import RunRecord
from tests.support.bare_run import bare_run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunRecord]:
    """A run that has begun."""
    made = bare_run(tmp_path, lambda line: None)
    yield made
    made.recorder.close()


def test_events_that_cannot_be_written_stop_the_run_but_not_its_cleanup(run: RunRecord) -> None:
    run.recorder.events.write_error = "cannot record an event"
    with pytest.raises(InfraError, match="cannot record an event"):
        run.recorder.start_stage("install", "fresh")
    run.recorder.start_stage("cleanup", "")
