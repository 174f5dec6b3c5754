"""Double-quoted text as the Go programs write it, which is not quite as a shell reads it."""

from __future__ import annotations

SHORT = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quote(text: str) -> str:
    """Return a text in double quotes, with everything that cannot be printed escaped."""
    return f'"{"".join(map(_one, text))}"'


def _one(char: str) -> str:
    if char in SHORT:
        return SHORT[char]
    if char == " " or (char.isprintable() and not char.isspace()):
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
