"""Compares an answer with the recorded one: status, headers, keys at every depth, states."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

FOLDER = Path(__file__).resolve().parents[2] / "data/drone"
HEADERS = ("Content-Type", "Cache-Control")
SAME = {  # keys whose values must be the recorded ones
    *("status", "exit_code", "event", "action", "errignore", "trigger", "sender", "kind", "type"),
    *("os", "arch", "limit", "number", "on_success", "on_failure", "parent", "message", "ref"),
    *("source", "target", "private", "visibility", "active"),
}
OWN = ("params", "error", "machine")  # what is in these depends on the test or the place


def exchanges(name: str) -> list[dict[str, Any]]:
    """Return the recorded exchanges of a file."""
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["exchanges"]
    return found


def like(answer: requests.Response, name: str, at: int = 0, *, but: tuple[str, ...] = ()) -> None:
    """Require that an answer is like a recorded one.

    but: keys whose values this test cannot compare.
    """
    response = exchanges(name)[at]["response"]
    assert answer.status_code == response["status"], answer.text
    for header in HEADERS:
        assert answer.headers.get(header) == response["headers"][header], header
    plain = response["headers"]["Content-Type"].startswith("text/")
    compare(answer.text if plain else answer.json(), response["body"], but=but)


def compare(found: object, recorded: object, *, where: str = "", but: tuple[str, ...] = ()) -> None:
    """Require the same keys at every depth and the same states."""
    if isinstance(recorded, dict):
        assert isinstance(found, dict), f"{where}: {found!r} is no object"
        assert set(found) == set(recorded), f"{where}: {set(found) ^ set(recorded)} differ"
        for key, value in recorded.items():
            if key in OWN:
                assert bool(found[key]) == bool(value), f"{where}.{key}"
            elif isinstance(value, dict | list):
                compare(found[key], value, where=f"{where}.{key}", but=but)
            elif key in SAME and key not in but and not _numbers_a_build(where, key):
                assert found[key] == value, f"{where}.{key} is {found[key]!r}, not {value!r}"
    elif isinstance(recorded, list):
        assert isinstance(found, list), f"{where}: {found!r} is no list"
        assert bool(found) == bool(recorded), f"{where}: one list is empty"
        if where.endswith((".stages", ".steps")):
            assert len(found) == len(recorded), f"{where}: {len(found)} and {len(recorded)}"
        for one, other in zip(found, recorded, strict=False):
            compare(one, other, where=f"{where}[]", but=but)
    else:
        assert found == recorded, where


def _numbers_a_build(where: str, key: str) -> bool:
    return key in ("number", "parent") and "stages" not in where
