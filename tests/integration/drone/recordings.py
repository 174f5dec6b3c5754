"""Compares a response with a recorded one: HTTP status, headers, keys at every depth, and states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

FOLDER = Path(__file__).resolve().parents[2] / "data/drone"
HEADERS = ("Content-Type", "Cache-Control")
SAME_VALUE_KEYS = {
    *("status", "exit_code", "event", "action", "errignore", "trigger", "sender", "kind", "type"),
    *("os", "arch", "limit", "number", "on_success", "on_failure", "parent", "message", "ref"),
    *("source", "target", "private", "visibility", "active"),
}
SAME_PRESENCE_KEYS = ("params", "error", "machine")  # empty or not as recorded; the value differs
BRANCH_KEYS = ("ref", "source", "target")  # differ if a test has a branch of its own
COMMIT_KEYS = ("message", *BRANCH_KEYS)  # differ if a test has a commit of its own


def exchanges(name: str) -> list[dict[str, Any]]:
    """Return the requests and responses of a recording."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["exchanges"]
    return found


def assert_like_recording(
    response: requests.Response, name: str, at: int = 0, *, ignore: tuple[str, ...] = ()
) -> None:
    """Require that a response is like a recorded one.

    Args:
        response: the response.
        name: name of the recording.
        at: which of its responses, from 0.
        ignore: keys whose values differ in this test.
    """
    recorded = exchanges(name)[at]["response"]
    assert response.status_code == recorded["status"], response.text
    for header in HEADERS:
        assert response.headers.get(header) == recorded["headers"][header], header
    plain = recorded["headers"]["Content-Type"].startswith("text/")
    assert_same_shape(response.text if plain else response.json(), recorded["body"], ignore=ignore)


def assert_same_shape(
    found: object, recorded: object, *, where: str = "", ignore: tuple[str, ...] = ()
) -> None:
    """Require the same keys at every depth and the same states."""
    if isinstance(recorded, dict):
        assert isinstance(found, dict), f"{where}: {found!r} is not an object"
        assert set(found) == set(recorded), f"{where}: {set(found) ^ set(recorded)} differ"
        for key, value in recorded.items():
            if key in SAME_PRESENCE_KEYS:
                assert bool(found[key]) == bool(value), f"{where}.{key}"
            elif isinstance(value, dict | list):
                assert_same_shape(found[key], value, where=f"{where}.{key}", ignore=ignore)
            elif key in SAME_VALUE_KEYS and key not in ignore and not _numbers_a_build(where, key):
                assert found[key] == value, f"{where}.{key} is {found[key]!r}, not {value!r}"
    elif isinstance(recorded, list):
        assert isinstance(found, list), f"{where}: {found!r} is not a list"
        assert bool(found) == bool(recorded), f"{where}: one list is empty"
        if where.endswith((".stages", ".steps")):
            assert len(found) == len(recorded), f"{where}: {len(found)} and {len(recorded)}"
        for one, other in zip(found, recorded, strict=False):
            assert_same_shape(one, other, where=f"{where}[]", ignore=ignore)
    else:
        assert found == recorded, where


def _numbers_a_build(where: str, key: str) -> bool:
    return key in ("number", "parent") and "stages" not in where
