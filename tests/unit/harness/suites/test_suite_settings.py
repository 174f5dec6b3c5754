"""recipe.yml: one loader, everything unknown is an error with its place."""

import re
from pathlib import Path

import pytest

from harness.errors import SettingError
from harness.suites import suite_settings

HARNESS = Path(suite_settings.__file__).parents[1]


def load(folder: Path, text: str) -> suite_settings.SuiteSettings:
    """Read a recipe.yml of this text."""
    path = folder / "recipe.yml"
    path.write_text(text)
    return suite_settings.load(path)


def test_without_a_file_everything_has_its_default(tmp_path: Path) -> None:
    """An empty folder is a suite."""
    found = suite_settings.load(tmp_path / "recipe.yml")
    assert (found.health.path, found.health.statuses) == ("/", [200, 301, 302])
    assert (found.timeouts.deploy, found.timeouts.health) == (600, 300)
    assert (found.timeouts.backup, found.timeouts.restore) == (300, 300)
    assert (found.env, found.compose_overlays, found.not_applicable) == ({}, [], {})


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "{}\n"])
def test_an_empty_file_is_as_none(tmp_path: Path, text: str) -> None:
    """Comments alone set nothing."""
    assert load(tmp_path, text) == suite_settings.SuiteSettings()


def test_what_is_set_counts_and_the_rest_keeps_its_default(tmp_path: Path) -> None:
    """Also within a group of keys."""
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
        ("zzz: 1", "1: unknown key 'zzz'; known are: health, timeouts, env"),
        ("UPGRADE_BASE_VERSION: 1.0.0", "1: unknown key 'UPGRADE_BASE_VERSION'; known are"),
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
        ("not_applicable:\n  upgrad: x", "2: there is no stage 'upgrad'; did you mean 'upgrade'?"),
        ("not_applicable:\n  backup: ' '", "2: 'not_applicable.backup' is wrong"),
        ("env:\n  A: x\nenv: {}", "3: 'env' stands in line 1 already"),
        ("env:\n  A: x\n  A: y", "3: 'A' stands in line 2 already"),
        ("a: [", "2: not readable as YAML: expected the node content"),
        ("env:\n  A: b: c", "2: not readable as YAML: mapping values are not allowed here"),
        ("env: 2026-99-99", "1: not readable as YAML: month must be in"),
        ("- a", "1: must hold 'key: value' lines, but is '['a']'"),
    ],
)  # fmt: skip
def test_a_mistake_is_an_error_with_file_line_and_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    """A key that does nothing, and a value of the wrong kind, are never silent (incident I1)."""
    with pytest.raises(SettingError) as caught:
        load(tmp_path, text + "\n")
    assert str(caught.value).startswith(f"{tmp_path}/recipe.yml:")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("data", [b"a: caf\xe9\n", None])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes | None) -> None:
    """Bytes that are no UTF-8, or a folder in its place."""
    path = tmp_path / "recipe.yml"
    path.mkdir() if data is None else path.write_bytes(data)
    with pytest.raises(SettingError, match=f"cannot read {re.escape(str(path))}"):
        suite_settings.load(path)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("dependencies: [keycloak]", "dependencies"),
        ("timeouts: {upgrade: 900}", "timeouts.upgrade"),
    ],
)
def test_a_key_that_nothing_reads_yet_may_not_be_set(tmp_path: Path, text: str, key: str) -> None:
    """Its author would believe that it works (incident I1)."""
    with pytest.raises(SettingError, match=f":1: nothing reads '{key}' yet"):
        load(tmp_path, text)


def test_every_key_has_a_reader() -> None:
    """What can be set is read by some module; whoever adds a reader takes it out of PENDING."""
    modules = [p for p in HARNESS.rglob("*.py") if p.name != "suite_settings.py"]
    code = "\n".join(path.read_text() for path in modules)
    attributes = {
        "health.path": r"health\.path",
        "health.statuses": r"health\.statuses",
        "probes.tcp": r"probes\.tcp",
        **{f"timeouts.{k}": rf"timeouts\.{k}" for k in suite_settings.Timeouts.model_fields},
        **{k: rf"settings(\[[^]]*\])?(\.\w+)*\.{k}\b" for k in suite_settings.SuiteSettings.model_fields},
    }  # fmt: skip
    settable = {row["key"] for row in suite_settings.registry()}
    assert {key for key in settable if not re.search(attributes[key], code)} == set()
    read = {key for key in suite_settings.PENDING if re.search(attributes[key], code)}
    assert read == set(), f"take these out of PENDING: {read}"


def test_the_documentation_is_made_from_the_keys() -> None:
    """A row for each key that may be set, none for others."""
    rows = suite_settings.document().splitlines()
    keys = [match[1] for row in rows if (match := re.match(r"\| `([^`]+)`", row))]
    assert keys == [row["key"] for row in suite_settings.registry()]
    assert set(keys).isdisjoint(suite_settings.PENDING)
    wanted = "| `timeouts.deploy` | whole number | `600` | a deployment until it settled |"
    assert wanted in rows
