"""Recipe versions: `x.y.z+upstream`, ordered by the recipe's number, then by the upstream part."""

from __future__ import annotations

import re
from collections.abc import Iterable

VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-[\w.]+)?\+(\S+)")


def is_version(tag: str) -> bool:
    """Return True if a tag is a recipe version."""
    return VERSION.fullmatch(tag) is not None


def sort_key(tag: str) -> tuple[tuple[int, ...], tuple[tuple[int, str], ...]]:
    """Return a key that sorts recipe versions from old to new; other tags come first."""
    found = VERSION.fullmatch(tag)
    if found is None:
        return (), ()
    parts = re.findall(r"\d+|[A-Za-z]+", found[4])
    upstream = tuple((int(p), "") if p.isdigit() else (-1, p) for p in parts)
    return tuple(int(n) for n in found.group(1, 2, 3)), upstream


def sort(tags: Iterable[str]) -> list[str]:
    """Return the recipe versions among some tags, oldest first."""
    return sorted((tag for tag in tags if is_version(tag)), key=sort_key)


def newer(tags: Iterable[str], than: str) -> list[str]:
    """Return the versions newer than `than`, oldest first."""
    return [tag for tag in sort(tags) if sort_key(tag) > sort_key(than)]
