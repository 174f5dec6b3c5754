"""Every case of these tests is told in docs/reliability.md, a row for each module; and what they share."""

from __future__ import annotations

import pytest

from harness.runs import preflight
from harness.stages import deploy
from harness.swarm import engine, images
from tests.support.figures import Part, record_cases

pytest_runtest_makereport = record_cases(Part.ATTACKS)


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not talk to Docker: one node, room for everything, no image to pull, and deploying is the end."""
    node = {"node.id": "n1", "node.hostname": "here", "node.role": "manager"}
    monkeypatch.setattr(engine, "nodes", lambda: [node])
    monkeypatch.setattr(preflight, "enough", lambda found: None)
    monkeypatch.setattr(images, "pull", lambda *words, **more: None)
    for name in ("settle", "healthy"):
        monkeypatch.setattr(deploy, name, lambda *words, **more: None)
