"""Recipe versions `x.y.z+upstream`, and the published version from which an upgrade starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.recipe.git import Tag

NUMBER = r"([0-9]{1,9})"
FORM = re.compile(rf"v?{NUMBER}\.{NUMBER}\.{NUMBER}(?:\+(?P<upstream>.{{1,128}}))?")
BEFORE_RELEASE = frozenset(["alpha", "beta", "dev", "pre", "preview", "rc"])

Part = tuple[int, int, str]
Key = tuple[tuple[int, int, int], tuple[Part, ...]]


@dataclass(frozen=True, slots=True)
class Choice:
    """The tag from which an upgrade starts, or the reason why there is none."""

    tag: Tag | None
    reason: str = ""


def key(version: str) -> Key | None:
    """Return a sort key of a version: the recipe's number, then the software's. None if not a version."""
    match = FORM.fullmatch(version)
    if match is None:
        return None
    own = (int(match[1]), int(match[2]), int(match[3]))
    return own, _natural(match["upstream"] or "")


def _natural(text: str) -> tuple[Part, ...]:
    """Return a key that sorts 1.9 before 1.10, 2.0-rc1 before 2.0, and 2.0 before 2.0-1."""
    parts = re.findall(r"[0-9]+|[a-z]+", text.lower())
    return (*map(_part, parts), (1, 0, ""))


def _part(text: str) -> Part:
    """Return one part's key; the end of a version has 1 as its first item."""
    if text.isdigit():
        return 2, int(text), ""
    return (0 if text in BEFORE_RELEASE else 3), 0, text


def newest_older(tags: Iterable[Tag], head: str, head_version: str | None) -> Choice:
    """Return the newest annotated version tag that is older than the head.

    A tag on the head's own commit never counts (incident U6: base and head were the same). If the
    head's version is known, newer versions do not count either, and the same version counts only if
    the head has no tag. Lightweight tags are not published versions (incident U7).

    Args:
        tags: all tags of the recipe.
        head: full sha of the head.
        head_version: version label of the head's compose files, None if unknown.
    """
    listed = [(found, tag) for tag in tags if (found := key(tag.name)) is not None]
    annotated = [(found, tag) for found, tag in listed if tag.annotated]
    bound = key(head_version or "")
    tagged = any(tag.commit == head for _, tag in listed)
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
