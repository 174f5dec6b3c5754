"""The restore: failed hooks are failures, and a restore that nothing could verify is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import RecipeFailure, SuiteFailure
from harness.stages import restore, sentinel
from tests.unit.harness.stages.stub_run import StubRun, stub_app


@pytest.mark.parametrize(
    ("output", "refused"),
    [
        ("INFO running restore.post-hook of s_db: /pg_backup.sh restore\nrestore finished", False),
        ('psql:x.sql:3: ERROR:  role "a" already exists\nrestore finished', False),
        ("pg_restore: oops\nINFO ERROR restore.post-hook of s_db failed\nrestore finished", True),
        ("oops\nERROR post_hook command exited with 1\nrestore finished", True),
    ],
)
def test_incident_b3_a_failed_hook_of_a_restore_is_red_and_shown(
    output: str, refused: bool
) -> None:
    """B3: the backup bot goes on after a failed hook; the hook's output is in the message."""
    expected = pytest.raises(RecipeFailure, match="oops") if refused else contextlib.nullcontext()
    with expected:
        restore.refuse_failed_hooks(output)


def test_incident_b2_a_restore_that_nothing_could_verify_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: if the backup takes no whole volume and the suite checks nothing, any restore would pass."""
    run: Any = StubRun(tmp_path)
    run.suite = SimpleNamespace(checks=[], wrecks=[])
    monkeypatch.setattr(sentinel, "mounts", lambda deployment: [])
    with pytest.raises(SuiteFailure, match=r"no sentinel can be written.*add a @seed and a @check"):
        restore.restore(run, stub_app())
