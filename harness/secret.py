"""Values nobody may read by accident, and their removal from text that leaves the run."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterable

MASK = "[secret]"
SHORTEST_REDACTED = 6  # characters; shorter values occur by chance in ordinary text


class Secret:
    """A value with one explicit way to open it.

    Not a `str` on purpose: a failing comparison of a str subclass prints the raw text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plain value; the only way to it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


class Redactor:
    """Knows the secrets of one run and masks them, also base64, URL-encoded and line by line."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Remember values; too short ones (under 6 characters) are left out."""
        for secret in secrets:
            self._forms.update(forms(secret.reveal()))

    def scrub(self, text: str) -> str:
        """Return the text with every known form of every known secret masked."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, MASK)
        return text

    def leaks(self, text: str) -> bool:
        """Say whether any known form of any known secret stands in the text."""
        return any(form in text for form in self._forms)


def forms(value: str) -> set[str]:
    """Return the ways a secret value may show up in text."""
    lines = {line.strip() for line in value.splitlines()}
    plain = {value, value.strip(), *lines}
    encoded = {base64.b64encode(part.encode()).decode() for part in (value, value.strip())}
    quoted = {urllib.parse.quote(part, safe="") for part in plain}
    return {form for form in plain | encoded | quoted if len(form) >= SHORTEST_REDACTED}
