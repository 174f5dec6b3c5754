"""Secret values, and the encodings in which they may leak from a run."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import textwrap
import urllib.parse
import zipfile
from collections.abc import Callable
from typing import Literal
from xml.sax.saxutils import escape

from harness.secret import Redactor, Secret

PLAIN = "hunter2hunter2XYZ"
TRICKY = 'p@ss w0rd/+&<"é%\\>?>?~~ÿ'
SIGNS = "!/? +'&=%<"
KEY = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA7v4\nq83kZlZzPp0Tn+/aa==\n-----END KEY-----"


def inside(before: int, encode: Callable[[bytes], bytes]) -> Callable[[str], str]:
    """Return an encoding of the value in a longer text, `before` bytes from its start."""
    return lambda value: encode(b"x" * before + value.encode() + b" and more").decode()


def without_padding(raw: bytes) -> bytes:
    """Return base64 as in tokens: URL-safe and without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def lower_hex(value: str) -> str:
    """Return the value URL-encoded with lower-case hex digits."""
    return "".join(c if c.isalnum() and c.isascii() else _lower_case(c) for c in value)


def _lower_case(c: str) -> str:
    return urllib.parse.quote(c, safe="").lower()


def numeric_references(value: str, form: str) -> str:
    """Return the value with all characters but ASCII letters and digits replaced by their number."""
    return "".join(c if c.isalnum() and c.isascii() else form.format(ord(c)) for c in value)


def wrapped(value: str) -> str:
    """Return base64 of a longer text as `base64` prints it, in lines of 76 characters."""
    return base64.encodebytes(b"y" * 40 + value.encode() + b" and more").decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "quoted": lambda value: f"<{value}>",
    **{f"base64-at-{n}": inside(n, base64.b64encode) for n in range(3)},
    **{f"base64url-at-{n}": inside(n, base64.urlsafe_b64encode) for n in range(3)},
    **{f"base64-unpadded-at-{n}": inside(n, without_padding) for n in range(3)},
    "base64-alone": lambda value: base64.b64encode(value.encode()).decode(),
    "base64-in-lines": wrapped,
    "base64-in-lines-crlf": lambda value: wrapped(value).replace("\n", "\r\n"),
    "base64-in-indented-lines": lambda value: textwrap.indent(wrapped(value), " \t  "),
    "url": lambda value: urllib.parse.quote(value, safe=""),
    "url-with-slashes": urllib.parse.quote,
    "url-with-plus": urllib.parse.quote_plus,
    "url-lower-case": lower_hex,
    "url-whole-upper-case": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "url-with-other-safe-characters": lambda value: urllib.parse.quote_plus(value, safe='/&<"'),
    "url-twice": lambda value: urllib.parse.quote(urllib.parse.quote(value, safe=""), safe=""),
    "url-whole": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "json": lambda value: json.dumps({"a": value}),
    "json-unicode": lambda value: json.dumps({"a": value}, ensure_ascii=False),
    "json-twice": lambda value: json.dumps(json.dumps({"a": value})),
    "xml": lambda value: escape(value, {'"': "&quot;", "'": "&apos;"}),
    "hex": lambda value: value.encode().hex(),
    "hex-upper-case": lambda value: value.encode().hex().upper(),
    "hex-with-colons": lambda value: value.encode().hex(":"),
    "hex-with-blanks": lambda value: value.encode().hex(" "),
    "python-bytes": lambda value: repr(value.encode())[2:-1],
    "xml-numbers": lambda value: numeric_references(value, "&#{};"),
    "xml-hex-numbers": lambda value: numeric_references(value, "&#x{:X};"),
    "utf-16": lambda value: value.encode("utf-16-le").decode("latin-1"),
}
VALUES = {"plain": PLAIN, "tricky": TRICKY, "key": KEY, "signs": SIGNS}


def knowing(*values: str) -> Redactor:
    """Return a redactor that knows these values."""
    made = Redactor()
    made.learn([Secret(value) for value in values])
    return made


def as_bytes(encoding: str, text: str) -> bytes:
    """Return an encoded text as bytes of a file."""
    return text.encode("latin-1" if encoding == "utf-16" else "utf-8")


def zipped(name: str, *parts: bytes) -> bytes:
    """Return a zip archive with one or more files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, data in enumerate(parts):
            archive.writestr(f"{name}{number or ''}", data)
    return buffer.getvalue()


def tarred(name: str, *parts: bytes, mode: Literal["w", "w:gz"] = "w:gz") -> bytes:
    """Return a tar archive with one or more files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for number, data in enumerate(parts):
            entry = tarfile.TarInfo(f"{name}{number or ''}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def with_header_byte(archive: bytes, offset: int, value: int) -> bytes:
    """Return a zip archive with one byte changed in the first entry of its directory."""
    at = archive.index(b"PK\x01\x02") + offset
    return archive[:at] + bytes([value]) + archive[at + 1 :]
