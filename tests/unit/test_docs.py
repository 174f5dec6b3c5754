"""What the documents say exists."""

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
def test_every_link_leads_somewhere(path: Path) -> None:
    """A relative link in a document names a file of this checkout."""
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_table_of_settings_is_the_code_s_own() -> None:
    """docs/enroll.md holds exactly the keys that the loader knows (incident I1)."""
    assert suite_settings.document().strip() in (ROOT / "docs" / "enroll.md").read_text()


def test_the_bridge_s_page_is_the_code_s_own() -> None:
    """docs/bridge.md holds exactly the settings, scopes, figures and the capacity that the code has."""
    text = (ROOT / "docs" / "bridge.md").read_text()
    assert bridge_settings.document() in text
    assert [scope for scope in BOT_SCOPES if f"`{scope}`" not in text] == []
    collected = [
        metric for metric in metrics.__dict__.values() if isinstance(metric, MetricWrapperBase)
    ]
    names = {sample.name for metric in collected for sample in metric.collect()}
    assert [name for name in names if f"`{name}" not in text] == []
    assert f"`DRONE_RUNNER_CAPACITY={SLOTS}`" in text


def test_the_table_of_hazards_is_the_code_s_own() -> None:
    """docs/enroll.md holds exactly the names that `allow` takes."""
    assert hazards.document().strip() in (ROOT / "docs" / "enroll.md").read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_make_targets_that_are_named_exist(path: Path) -> None:
    """A document names only targets that the Makefile has."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z-]+)`?(?=[`\s:;,.])", path.read_text()))
    known_words = {"a", "it", "sure", "by", "of"}
    assert named - targets - known_words == set()


def test_every_stage_is_explained() -> None:
    """The words page names every stage."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert [stage for stage in STAGES if stage not in text] == []


def test_what_a_suite_may_call_exists() -> None:
    """Every call that docs/enroll.md lists is there."""
    text = (ROOT / "docs" / "enroll.md").read_text()
    names = set(re.findall(r"`app\.([a-z_]+)", text))
    fields = set(App.__dataclass_fields__)
    assert [name for name in names if not hasattr(App, name) and name not in fields] == []
