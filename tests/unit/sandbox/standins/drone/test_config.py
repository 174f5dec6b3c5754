"""Reading the settings file and the messages for mistakes in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.standins.drone import config

pytestmark = pytest.mark.contract

VALID: dict[str, Any] = {
    "port": 8000,
    "data": "/var/lib/standin",
    "tokens": {"abcdef": {"login": "bridge", "admin": True}},
    "repos": {"ci/cc-ci": {"clone_url": "http://forge.test/ci/cc-ci.git"}},
}


def test_missing_keys_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(VALID))
    found = config.load(path)
    repo = found.repos["ci/cc-ci"]
    assert (found.capacity, found.missing_yaml_wait, found.lose_cancels) == (2, 45.0, False)
    assert (found.public_url, found.host) == ("http://127.0.0.1:8000", "127.0.0.1:8000")
    assert (repo.branch, repo.active, repo.timeout_minutes) == ("main", True, 60)
    assert (repo.forge, repo.link) == ("http://forge.test", "http://forge.test/ci/cc-ci")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prot": 1}, "unknown key 'prot'"),
        ({"port": "8000"}, "'port' is '8000'; it must be a whole number"),
        ({"port": True}, "'port' is True; it must be a whole number"),
        ({"port": 0}, "a port is a number from 1 to 65535"),
        ({"port": None}, "'port' is None"),
        ({"data": "here"}, "'data' is 'here'; it must be an absolute path"),
        ({"capacity": 0}, "the runner needs at least 1"),
        ({"lose_cancels": 1}, "it must be true or false"),
        ({"pickup_delay": -1}, "it must not be below 0 seconds"),
        ({"environ": {"A": 1}}, "'environ.A' is 1; it must be text"),
        ({"tokens": {"abcdef": {"admin": True}}}, "the token 'abc…': the key 'login' is missing"),
        ({"repos": {"cc-ci": {"clone_url": "x"}}}, "must be named 'owner/name'"),
        ({"repos": {"a/b": {}}}, "the repository 'a/b': the key 'clone_url' is missing"),
        ({"repos": {"a/b": []}}, "the repository 'a/b' must be an object"),
        ({"repos": {"a/b": {"clone_url": "x", "timeout_minutes": 0}}}, "it must be above 0"),
    ],
)
def test_the_message_names_file_and_key(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**VALID, **change}))
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_invalid_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="cannot read the settings"):
        config.load(tmp_path / "none.json")
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(config.ConfigError, match="cannot read the settings"):
        config.load(tmp_path / "c.json")
