"""recipe.yml: everything unknown or wrong is an error with file and line."""

import re
from pathlib import Path

import pytest

from harness.errors import SettingError
from harness.suites import suite_settings

HARNESS = Path(suite_settings.__file__).parents[1]


def load(folder: Path, text: str) -> suite_settings.SuiteSettings:
    """Read a recipe.yml with this text."""
    path = folder / "recipe.yml"
    path.write_text(text)
    return suite_settings.load(path)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    found = suite_settings.load(tmp_path / "recipe.yml")
    assert (found.health.path, found.health.statuses) == ("/", [200, 301, 302])
    assert (found.timeouts.deploy, found.timeouts.health) == (600, 300)
    assert (found.timeouts.backup, found.timeouts.restore) == (300, 300)
    assert (found.env, found.compose_overlays, found.not_applicable) == ({}, [], {})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}\n"])
def test_an_empty_file_counts_as_missing(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == suite_settings.SuiteSettings()


def test_unset_keys_keep_their_default(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        "health: {path: /api/health, statuses: [200]}\n"
        "timeouts: {deploy: 1200}\n"
        "env: {TLS_FLAVOR: notls, EMPTY: ''}\n"
        "compose_overlays: [compose.ci.yml]\n"
        "not_applicable: {backup: keeps nothing}\n",
    )
    assert (found.health.path, found.health.statuses) == ("/api/health", [200])
    assert (found.timeouts.deploy, found.timeouts.backup) == (1200, 300)
    assert found.env == {"TLS_FLAVOR": "notls", "EMPTY": ""}
    assert found.compose_overlays == ["compose.ci.yml"]
    assert found.not_applicable == {"backup": "keeps nothing"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("helth: {}", "1: unknown key 'helth'; did you mean 'health'?"),
        ("health:\n  pth: /", "2: unknown key 'health.pth'; did you mean 'path'?"),
        ("env: {}\n\ntimeouts:\n  deploi: 5", "4: unknown key 'timeouts.deploi'; did you mean"),
        ("zzz: 1", "1: unknown key 'zzz'; known: health, timeouts, env"),
        ("UPGRADE_BASE_VERSION: 1.0.0", "1: unknown key 'UPGRADE_BASE_VERSION'; known"),
        ("timeouts:\n  deploy: '60'", "2: 'timeouts.deploy' is wrong: input should be a valid int"),
        ("timeouts:\n  deploy: 10m", "2: 'timeouts.deploy' is wrong"),
        ("timeouts:\n  deploy: 0", "2: 'timeouts.deploy' is wrong: input should be greater than"),
        ("timeouts:\n  deploy: true", "2: 'timeouts.deploy' is wrong"),
        ("timeouts: 60", "1: 'timeouts' is wrong"),
        ("health:", "1: 'health' is wrong"),
        ("health:\n  path: status", "2: 'health.path' is wrong: string should match pattern '^/"),
        ("health:\n  statuses:\n  - 200\n  - 999", "4: 'health.statuses.1' is wrong"),
        ("health: {statuses: []}", "1: 'health.statuses' is wrong: list should have at least 1"),
        ("env:\n  A: x\n  PORT: 8080", "3: 'env.PORT' is wrong: input should be a valid string, "
         "but it is 8080; write it in quotes"),
        ("env: {A: yes}", "but it is True; write it in quotes"),
        ("env:\n  '1A': x", "2: 'env.1A' is wrong"),
        ("compose_overlays: ../x.yml", "1: 'compose_overlays' is wrong: input should be a valid"),
        ("compose_overlays: [../x.yml]", "1: 'compose_overlays.0' is wrong"),
        ("compose_overlays: [/etc/x.yml]", "1: 'compose_overlays.0' is wrong"),
        ("not_applicable:\n  upgrad: x", "2: unknown stage 'upgrad'; did you mean 'upgrade'?"),
        ("not_applicable:\n  backup: ' '", "2: 'not_applicable.backup' is wrong"),
        ("env:\n  A: x\nenv: {}", "3: 'env' is already set in line 1"),
        ("env:\n  A: x\n  A: y", "3: 'A' is already set in line 2"),
        ("a: [", "2: not readable as YAML: expected the node content"),
        ("env:\n  A: b: c", "2: not readable as YAML: mapping values are not allowed here"),
        ("env: 2026-99-99", "1: not readable as YAML: month must be in"),
        ("dependencies: [keycloak]", "1: unknown key 'dependencies'; known: health, "),
        ("timeouts: {upgrade: 900}", "1: unknown key 'timeouts.upgrade'; known: deploy, health, "),
        ("- a", "1: must contain 'key: value' lines, but is '['a']'"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_with_file_line_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """I1: a misspelt key had no effect, and nobody noticed."""
    with pytest.raises(SettingError) as caught:
        load(tmp_path, text + "\n")
    assert str(caught.value).startswith(f"{tmp_path}/recipe.yml:")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("data", [b"a: caf\xe9\n", None])
def test_an_unreadable_file_is_named(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "recipe.yml"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(SettingError, match=f"cannot read {re.escape(str(path))}"):
        suite_settings.load(path)


def test_every_key_has_a_reader() -> None:
    """I1: a documented key had no effect."""
    modules = [p for p in HARNESS.rglob("*.py") if p.name != "suite_settings.py"]
    code = "\n".join(path.read_text() for path in modules)
    attributes = {
        "health.path": r"health\.path",
        "health.statuses": r"health\.statuses",
        "probes.tcp": r"probes\.tcp",
        **{f"timeouts.{k}": rf"timeouts\.{k}" for k in suite_settings.Timeouts.model_fields},
        **{k: rf"settings(\[[^]]*\])?(\.\w+)*\.{k}\b" for k in suite_settings.SuiteSettings.model_fields},
    }  # fmt: skip
    settable = {row["key"] for row in suite_settings.documented_keys()}
    assert {key for key in settable if not re.search(attributes[key], code)} == set()


def test_the_documentation_is_made_from_the_keys() -> None:
    rows = suite_settings.document().splitlines()
    keys = [match[1] for row in rows if (match := re.match(r"\| `([^`]+)`", row))]
    assert keys == [row["key"] for row in suite_settings.documented_keys()]
    wanted = "| `timeouts.backup` | whole number | `300` | one backup, in seconds |"
    assert wanted in rows
