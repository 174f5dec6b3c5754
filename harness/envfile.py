"""An app's env file and a recipe's `.env.sample`: every line is kept, comments belong to values.

A comment behind a secret's version (`# length=32`) is part of its declaration, so lines are copied
whole (incident U9).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

LINE = re.compile(r"^(?P<off>\s*#\s*)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)$")
SECRET_KEY = re.compile(r"SECRET_(?P<name>[A-Z0-9_]+)_VERSION")
MODIFIER = re.compile(r"(?P<key>length|charset|generate)=(?P<value>[^\s#]+)")


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """One declared secret: its name as compose knows it, its version, and how to make it."""

    name: str
    version: str
    length: int | None
    generate: bool


@dataclass
class EnvFile:
    """The lines of one env file, in their order."""

    lines: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> EnvFile:
        """Take a file's text apart."""
        return cls(text.splitlines())

    @classmethod
    def read(cls, path: Path) -> EnvFile:
        """Read a file."""
        return cls.parse(path.read_text())

    def write(self, path: Path) -> None:
        """Write the file at once, readable by its owner only."""
        part = path.with_name(f".{path.name}.part")
        part.touch(mode=0o600)
        part.write_text("\n".join(self.lines) + "\n")
        os.replace(part, path)

    def get(self, key: str) -> str | None:
        """Return the value of a key that is set, without quotes and comment."""
        return self.values().get(key)

    def values(self) -> dict[str, str]:
        """Return all keys that are set; later ones may refer to earlier ones."""
        found: dict[str, str] = {}
        for line in self.lines:
            match = LINE.match(line)
            if match and match["off"] is None:
                found[match["key"]] = _expand(_bare(match["value"]), found)
        return found

    def set(self, key: str, value: str) -> None:
        """Set a key where it stands, or at the end; a comment behind the old value is kept."""
        for number, line in enumerate(self.lines):
            match = LINE.match(line)
            if match and match["off"] is None and match["key"] == key:
                self.lines[number] = f"{key}={value}{_comment(match['value'])}"
                return
        self.lines.append(f"{key}={value}")

    def append(self, line: str) -> None:
        """Add a whole line, unless its key is set already."""
        match = LINE.match(line)
        if match is None or match["key"] not in self.values():
            self.lines.append(line)


def missing_lines(old: str, new: str) -> list[str]:
    """Return the whole lines of the new sample whose keys the old one does not have at all.

    A secret that the new sample only has commented out is taken too, enabled: the head's compose
    files may need it, and its modifiers stand in that line.
    """
    known = {match["key"] for line in old.splitlines() if (match := LINE.match(line))}
    lines = []
    for line in new.splitlines():
        match = LINE.match(line)
        if match is None or match["key"] in known:
            continue
        if match["off"] is None:
            lines.append(line)
        elif SECRET_KEY.fullmatch(match["key"]):
            lines.append(f"{match['key']}={match['value']}")
    return lines


def secret_specs(env: EnvFile) -> list[SecretSpec]:
    """Return the secrets that an env file declares."""
    specs = []
    for line in env.lines:
        match = LINE.match(line)
        name = SECRET_KEY.fullmatch(match["key"]) if match and match["off"] is None else None
        if match is None or name is None:
            continue
        comment = _comment(match["value"])
        modifiers = {m["key"]: m["value"] for m in MODIFIER.finditer(comment)}
        length = modifiers.get("length", "")
        specs.append(
            SecretSpec(
                name=name["name"].lower(),
                version=_bare(match["value"]),
                length=int(length) if length.isdigit() else None,
                generate=modifiers.get("generate", "true") != "false",
            )
        )
    return specs


def _bare(value: str) -> str:
    """Return a value without its comment and quotes."""
    text = value.strip()
    if text[:1] in ("'", '"'):
        end = text.find(text[0], 1)
        return text[1:end] if end > 0 else text[1:]
    return re.split(r"\s+#|^#", text)[0].strip()


def _comment(value: str) -> str:
    """Return the comment behind a value, with the blank before it."""
    match = re.search(r"\s+#.*$", value)
    return match[0] if match else ""


def _expand(value: str, known: dict[str, str]) -> str:
    return re.sub(r"\$\{?([A-Za-z_]\w*)\}?", lambda m: known.get(m[1], m[0]), value)
