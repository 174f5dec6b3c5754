"""What the documents name exists."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from bridge import metrics
from bridge import settings as bridge_settings
from harness.plan import STAGES
from harness.recipe import hazards
from harness.settings import SLOTS
from harness.suites import suite_settings
from harness.suites.app import App
from sandbox.forge.gitea import BOT_SCOPES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_relative_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_table_of_settings_matches_the_code() -> None:
    """A key that is not documented, or does nothing, was incident I1."""
    assert suite_settings.document().strip() in (ROOT / "docs" / "enroll.md").read_text()


def test_the_bridge_page_matches_the_code() -> None:
    text = (ROOT / "docs" / "bridge.md").read_text()
    assert bridge_settings.document() in text
    assert [scope for scope in BOT_SCOPES if f"`{scope}`" not in text] == []
    collected = [
        metric for metric in metrics.__dict__.values() if isinstance(metric, MetricWrapperBase)
    ]
    names = {sample.name for metric in collected for sample in metric.collect()}
    assert [name for name in names if f"`{name}" not in text] == []
    assert f"`DRONE_RUNNER_CAPACITY={SLOTS}`" in text


def test_the_table_of_hazards_matches_the_code() -> None:
    assert hazards.document().strip() in (ROOT / "docs" / "enroll.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_named_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)`?(?=[`\s:;,.])", path.read_text()))
    known_words = {"a", "it", "sure", "by", "of"}
    assert named - targets - known_words == set()


def test_every_stage_is_explained() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert [stage for stage in STAGES if stage not in text] == []


def test_documented_methods_of_app_exist() -> None:
    text = (ROOT / "docs" / "enroll.md").read_text()
    names = set(re.findall(r"`app\.([a-z_]+)", text))
    fields = set(App.__dataclass_fields__)
    assert [name for name in names if not hasattr(App, name) and name not in fields] == []


def test_files_to_change_exist() -> None:
    """The table in CONTRIBUTING names files; one that moved would mislead a newcomer."""
    rows = [row for row in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if row[:2] == "| "]
    paths = [path for row in rows for path in re.findall(r"`([a-z_]+/[^`<…]*[a-z])/?`", row)]
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []
