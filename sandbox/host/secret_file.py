"""Secrets of the sandbox, each in a file that only its owner can read."""

from __future__ import annotations

import secrets
from pathlib import Path


def secret_file(folder: Path, name: str, text: str = "") -> Path:
    """Write a secret to a file that only its owner can read, and return its path.

    Args:
        folder: of the file.
        name: of the file.
        text: the secret; if empty, a random one is made unless the file exists.
    """
    path = folder / name
    if text or not path.exists():
        path.touch(mode=0o600)
        path.write_text((text or secrets.token_hex(20)) + "\n")
    return path
