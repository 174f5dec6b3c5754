"""The verdict of a finished run, and whose fault it is."""

from __future__ import annotations

from tests.support.run_process import RunProcess

INFRA = (16, "infra")


def verdict_of(run: RunProcess) -> tuple[int, str]:
    """Return exit code and verdict."""
    return run.exit_code, run.report.verdict.value


def check_not_the_recipes_fault(run: RunProcess) -> None:
    """Require that the commit status is an error, not a failure, and the level does not count."""
    found = run.report
    assert found.commit_state == "error"
    assert found.level is None or "does not count" in found.level_note
