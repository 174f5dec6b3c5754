"""Recipe versions `x.y.z+upstream`, and which published one an upgrade starts from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.git import Tag

FORM = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:\+(?P<upstream>.+))?")

Key = tuple[tuple[int, int, int], tuple[tuple[int, int, str], ...]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The tag to start from, or the reason why there is none."""

    tag: Tag | None
    reason: str = ""


def key(version: str) -> Key | None:
    """Return a sort key: the recipe's own number, then the software's; None for other texts."""
    match = FORM.fullmatch(version)
    if match is None:
        return None
    own = (int(match[1]), int(match[2]), int(match[3]))
    return own, _natural(match["upstream"] or "")


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts 1.9 before 1.10 and words after numbers."""
    parts = re.findall(r"\d+|[a-zA-Z]+", text)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts)


def newest_older(tags: Iterable[Tag], head: str, head_version: str | None) -> Choice:
    """Return the newest annotated version tag that is older than the head.

    A tag on the head's own commit never counts (incident U6: base and head the same). Where the
    head's version can be read, newer versions do not count either, and the same version only if
    the head itself carries no tag. Lightweight tags are no published versions (incident U7).
    """
    listed = [(found, tag) for tag in tags if (found := key(tag.name)) is not None]
    annotated = [(found, tag) for found, tag in listed if tag.annotated]
    bound = key(head_version or "")
    tagged = any(tag.commit == head for _, tag in annotated)
    older = [
        (found, tag)
        for found, tag in annotated
        if tag.commit != head
        and (bound is None or found < bound or (found == bound and not tagged))
    ]
    if older:
        return Choice(max(older, key=lambda pair: pair[0])[1])
    if annotated:
        return Choice(None, "no published version is older than the head")
    if listed:
        return Choice(None, "no version tag is annotated, so no version counts as published")
    return Choice(None, "the recipe has no published version")
