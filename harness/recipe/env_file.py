"""An app's env file and a recipe's `.env.sample`; all lines and comments are kept.

A comment after a secret's version (`# length=32`) is part of its declaration, so lines are copied
whole (incident U9). The syntax is abra's: Docker's env files, quotes allowed, later keys may refer to
earlier ones (`COMPOSE_FILE="$COMPOSE_FILE:compose.postgres.yml"`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r"\s*(?P<off>#\s*)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
SECRET_VERSION_KEY = re.compile(r"SECRET_(?P<name>[A-Z0-9_]+)_VERSION")
MODIFIER = re.compile(r"(?P<key>length|charset|generate)=(?P<value>[^\s#]+)")
QUOTED = re.compile(r"""\s*(?P<value>"[^"]*"|'[^']*')(?P<comment>\s*#.*|\s*)""")
COMMENT = re.compile(r"(?:^|\s)#.*")
REFERENCE = re.compile(r"\$(?:\{(?P<braced>[A-Za-z_]\w*)\}|(?P<plain>[A-Za-z_]\w*))")
UNDECODABLE = "surrogateescape"  # bytes that are not UTF-8 are kept unchanged


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """One declared secret.

    Attributes:
        name: its key in the compose files.
        version: the suffix of its name in Docker.
        length: number of characters to generate, None for abra's default.
        generate: False if abra does not generate it.
        charset: abra's name of a set of characters, None for the default.
    """

    name: str
    version: str
    length: int | None
    generate: bool
    charset: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """One `KEY=value` line; `off` if it is commented out."""

    text: str
    key: str
    raw: str
    comment: str
    off: bool

    @property
    def extends(self) -> bool:
        """True if the value refers to the earlier value of the same key."""
        return any(m["braced"] == self.key or m["plain"] == self.key for m in _references(self.raw))


@dataclass
class EnvFile:
    """The lines of one env file, in order."""

    lines: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> EnvFile:
        """Parse the text of a file."""
        return cls(text.splitlines())

    @classmethod
    def read(cls, path: Path) -> EnvFile:
        """Read and parse a file."""
        return cls.parse(path.read_text(errors=UNDECODABLE))

    def write(self, path: Path) -> None:
        """Write the file atomically, readable only by its owner."""
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", errors=UNDECODABLE) as out:
            out.write("".join(f"{line}\n" for line in self.lines))
        part.replace(path)

    def get(self, key: str) -> str | None:
        """Return the value of a key without quotes and comment, None if it is not set."""
        return self.values().get(key)

    def values(self) -> dict[str, str]:
        """Return the values of all keys that are set, with references to earlier keys replaced."""
        found: dict[str, str] = {}
        for line in _parsed(self.lines):
            if not line.off:
                found[line.key] = _plain(line.raw, found)
        return found

    def set(self, key: str, value: str) -> None:
        """Set a key on its first line, or on a new last line; the comment after the value is kept.

        Other lines of the same key are removed, because the last one would win.
        """
        first = True
        lines = []
        for text in self.lines:
            line = _line(text)
            if line is None or line.off or line.key != key:
                lines.append(text)
            elif first:
                lines.append(f"{key}={value}{line.comment}")
                first = False
        self.lines = [*lines, f"{key}={value}"] if first else lines

    def append(self, line: str) -> None:
        """Add a whole line, unless its key is already set and the line does not extend that value."""
        parsed = _line(line)
        is_set = parsed is not None and parsed.key in self.values()
        extends = parsed is not None and parsed.extends and line not in self.lines
        if not is_set or extends:
            self.lines.append(line)


def missing_lines(old: str, new: str) -> list[str]:
    """Return the lines to add to an app's env file when its recipe moves to a new version.

    These are keys that only the new sample sets, and lines that extend the value of a known key (one
    more file in `COMPOSE_FILE`). A new secret is returned even if it is commented out in the new sample:
    the new compose files may need it, and its length and charset are in that line.

    Args:
        old: text of the `.env.sample` from which the app was made.
        new: text of the new `.env.sample`.
    """
    before = list(_parsed(old.splitlines()))
    texts = {line.text.strip() for line in before}
    known = {line.key for line in before}
    given = {line.key for line in before if not line.off}
    after = list(_parsed(new.splitlines()))
    enabled = {line.key for line in after if not line.off}
    lines = []
    for line in after:
        if line.off:
            if SECRET_VERSION_KEY.fullmatch(line.key) and line.key not in known | enabled:
                lines.append(f"{line.key}={line.raw}{line.comment}")
        elif line.key not in given or (line.extends and line.text.strip() not in texts):
            lines.append(line.text)
    return lines


def secret_specs(env: EnvFile) -> list[SecretSpec]:
    """Return the secrets that an env file declares; if one is declared twice, the last line wins."""
    specs = {}
    for line in _parsed(env.lines):
        name = SECRET_VERSION_KEY.fullmatch(line.key)
        if name is not None and not line.off:
            specs[line.key] = _spec(name["name"].lower(), line)
    return list(specs.values())


def _spec(name: str, line: _Line) -> SecretSpec:
    modifiers = {m["key"]: m["value"] for m in MODIFIER.finditer(line.comment)}
    length = modifiers.get("length", "")
    return SecretSpec(
        name=name,
        version=_plain(line.raw, {}),
        length=int(length) if re.fullmatch(r"[0-9]{1,6}", length) else None,
        generate=modifiers.get("generate", "true") != "false",
        charset=modifiers.get("charset"),
    )


def _parsed(lines: Iterable[str]) -> Iterable[_Line]:
    return (line for text in lines if (line := _line(text)) is not None)


def _line(text: str) -> _Line | None:
    """Parse one line; None for comments and blank lines."""
    match = LINE.fullmatch(text)
    if match is None:
        return None
    raw, comment = _split(match["value"])
    return _Line(text, match["key"], raw, comment, match["off"] is not None)


def _split(value: str) -> tuple[str, str]:
    """Return a value and the comment after it, which starts with a blank."""
    quoted = QUOTED.fullmatch(value)
    if quoted is not None:
        raw, comment = quoted["value"], quoted["comment"]
    else:
        found = COMMENT.search(value)
        end = len(value[: found.start()].rstrip()) if found else len(value)
        raw, comment = value[:end], value[end:]
    return raw.strip(), comment if comment[:1] in ("", " ", "\t") else f" {comment}"


def _plain(raw: str, known: Mapping[str, str]) -> str:
    """Return a value without quotes, with references replaced except in single quotes."""
    text = raw
    quote = text[:1]
    if quote in ("'", '"'):
        text = text[1:-1] if len(text) > 1 and text.endswith(quote) else text[1:]
    if quote == "'":
        return text
    return REFERENCE.sub(lambda m: known.get(m["braced"] or m["plain"], m[0]), text)


def _references(raw: str) -> Iterable[re.Match[str]]:
    return () if raw.startswith("'") else REFERENCE.finditer(raw)
