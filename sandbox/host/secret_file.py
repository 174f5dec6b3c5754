"""Secrets of the sandbox: each in a file of its own that only its owner reads."""

from __future__ import annotations

import secrets
from pathlib import Path


def secret_file(folder: Path, name: str, text: str = "") -> Path:
    """Keep a secret in a file that only its owner reads; a new one is made where none is given."""
    path = folder / name
    if text or not path.exists():
        path.touch(mode=0o600)
        path.write_text((text or secrets.token_hex(20)) + "\n")
    return path
