"""The settings file of the test bed, which the set-up writes and the product reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.host import paths

# The product's own defaults, as its documentation names them.
FOLDERS = {
    "CCCI_RUNS_DIR": "/var/lib/cc-ci-runs",
    "CCCI_LOCK_DIR": "/run/lock",
    "CCCI_ACTIVE_DIR": "/run/cc-ci-active",
    "CCCI_SLOTS_DIR": "/run/cc-ci-slots",
}


def read(path: Path = paths.SETTINGS) -> dict[str, str]:
    """Return the settings of a file, none if it is missing."""
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}


def write(values: Mapping[str, str], path: Path = paths.SETTINGS) -> None:
    """Write a settings file, unless it has this content already."""
    text = "# Written by the sandbox's set-up.\n" + "".join(f"{k}={v}\n" for k, v in values.items())
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def folder(key: str) -> Path:
    """Return a folder of the product: from the environment, the settings file, or its default."""
    named = os.environ.get("CCCI_SETTINGS")
    found = {**read(Path(named) if named else paths.SETTINGS), **os.environ}
    return Path(found.get(key, FOLDERS[key]))
