"""The upgrade: only the head itself proves it, and a broken base is not the head's fault."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import BaseNotDeployable, RecipeFailure
from harness.stages import deploy, upgrade
from harness.suites.outcome import outcome_of
from harness.swarm import engine
from tests.unit.harness.stages.stub_run import HEAD, StubRun, stub_app


@pytest.mark.parametrize(
    ("label", "right"),
    [
        (HEAD[:8], True),
        (f"{HEAD[:8]}+U", True),
        ("deadbeef", False),
        (HEAD[:4], False),
        ("", False),
        (None, False),
        ("unknown", False),
    ],
)
def test_incident_u1_only_the_head_itself_proves_the_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str | None, right: bool
) -> None:
    """U1: an upgrade to a tag, or to nothing, is not an upgrade to the head (U2: `+U` does not matter)."""
    run: Any = StubRun(tmp_path)
    labels = {} if label is None else {"coop-cloud.s.chaos-version": label}
    service = SimpleNamespace(name="app", labels=labels)
    view = SimpleNamespace(service=lambda name: service)
    monkeypatch.setattr(engine, "view", lambda stack: view)
    expected = contextlib.nullcontext() if right else pytest.raises(RecipeFailure, match="never")
    with expected:
        upgrade.prove_the_head(run, stub_app())


def test_incident_u10_a_base_whose_image_is_gone_is_not_the_heads_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """U10: the published version's image no longer exists, so the upgrade is unverified, not red."""

    def gone(*args: object) -> None:
        raise RecipeFailure("pulling image 'bitnami/discourse:3.1.2' failed: manifest unknown")

    run: Any = StubRun(tmp_path)
    monkeypatch.setattr(deploy, "deploy", gone)
    with pytest.raises(
        BaseNotDeployable, match=r"published version 1\.0\.0\+1 .* manifest"
    ) as caught:
        upgrade.base(run, stub_app())
    assert caught.value.fault == "infra"
    report: Any = SimpleNamespace(passed=False, skipped=False, when="call", longrepr="")
    assert outcome_of(report, caught.value).kind == "unverified"
