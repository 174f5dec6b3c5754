"""Fixtures of these tests, and their row for each module in docs/reliability.md."""

from __future__ import annotations

import pytest

from harness.runs import preflight
from harness.stages import deploy
from harness.swarm import engine, images
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(Part.ATTACKS)


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace Docker: one node, enough disk and memory, nothing to pull, every deployment settles."""
    node = {"node.id": "n1", "node.hostname": "here", "node.role": "manager"}
    monkeypatch.setattr(engine, "nodes", lambda: [node])
    monkeypatch.setattr(preflight, "check_resources", lambda found: None)
    monkeypatch.setattr(images, "pull", lambda *words, **more: None)
    for name in ("settle", "healthy"):
        monkeypatch.setattr(deploy, name, lambda *words, **more: None)
