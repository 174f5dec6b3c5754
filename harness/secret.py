"""Secret values, and masking them in everything that leaves a run.

Secrets leak in many encodings: split over several lines, base64 inside a longer base64 text, URL- or
JSON-escaped, in hex. Each is an `Encoding`: some bytes that are fast to search for, and a pattern that
matches what is masked. Searching takes linear time: one pass of the C library's search per encoding.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MASK = "[secret]"
MIN_REDACTED_LENGTH = 6  # characters; shorter values occur in ordinary text by chance
MIN_WRAPPED_LENGTH = 12  # bytes; shorter values occur across a line break by chance
URL_SAFE = bytes.maketrans(b"+/", b"-_")
LINE_BREAK = rb"(?:\r?\n[ \t]*)?"


class Secret:
    """A secret value that can only be read with `reveal()`.

    It is not a `str`, because a failing comparison of a str subclass prints the raw text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plain value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))


@dataclass(frozen=True, slots=True)
class Encoding:
    """One encoding of a secret.

    Attributes:
        needle: bytes that every text with this encoding contains.
        pattern: matches what is masked.
        edges: patterns of what is masked before and after the needle; None if the needle is an inner
            part of what the pattern matches.
    """

    needle: bytes
    pattern: re.Pattern[bytes]
    edges: tuple[bytes, bytes] | None = (b"", b"")

    @property
    def reach(self) -> int:
        """About how many bytes it masks; encodings that mask more are tried first."""
        return len(self.pattern.pattern if self.edges is None else self.needle)

    def wrapped_pattern(self) -> re.Pattern[bytes]:
        """Return the pattern that also matches with line breaks inside the encoding."""
        head, tail = self.edges or (b"", b"")
        middle = LINE_BREAK.join(re.escape(bytes([byte])) for byte in self.needle)
        return re.compile(head + middle + (LINE_BREAK + tail if tail else b""))


class Redactor:
    """Knows the secrets of one run and masks them in every encoding (see `encodings`).

    Args:
        words: words that reports consist of (names of stages, outcomes). A secret equal to one of them
            is not masked, because the report would become unreadable.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words = frozenset(word.lower() for word in words)
        self._encodings: list[Encoding] = []

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Add secrets; those that cannot be distinguished from ordinary text are ignored.

        A value may be part of another one. Encodings that mask more are tried first, so that no part
        of the longer value is left.
        """
        for secret in secrets:
            if not self.is_weak(secret):
                self._encodings += encodings(secret.reveal())
        distinct = {encoding.pattern.pattern: encoding for encoding in self._encodings}
        self._encodings = sorted(distinct.values(), key=lambda encoding: -encoding.reach)

    def is_weak(self, secret: Secret) -> bool:
        """Return True if a value is too short (under 6 characters) or a word of the reports."""
        value = secret.reveal().strip()
        return len(value) < MIN_REDACTED_LENGTH or value.lower() in self._words

    @property
    def max_length(self) -> int:
        """An upper bound of an encoding's length in bytes: the overlap for reading files in blocks.

        It is twice the longest pattern, because a wrapped encoding contains line breaks and indents.
        """
        return 2 * max((len(encoding.pattern.pattern) for encoding in self._encodings), default=0)

    def scrub(self, text: str) -> str:
        """Return the text with every encoding of every known secret masked."""
        data = text.encode("utf-8", "surrogatepass")
        found = self.mask(data)
        return text if found is data else found.decode("utf-8", "surrogatepass")

    def mask(self, data: bytes) -> bytes:
        """Return the bytes with every encoding masked; the same object if nothing was found."""
        for encoding in self._encodings:
            if encoding.needle in data:
                data = encoding.pattern.sub(MASK.encode(), data)
        for encoding in list(self._wrapped(data)):
            data = encoding.wrapped_pattern().sub(MASK.encode(), data)
        return data

    def leaks(self, data: str | bytes) -> bool:
        """Return True if the data contains any encoding of any known secret."""
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        found = (encoding for encoding in self._encodings if encoding.needle in raw)
        return any(encoding.pattern.search(raw) for encoding in found) or any(self._wrapped(raw))

    def _wrapped(self, data: bytes) -> Iterator[Encoding]:
        """Yield the encodings that the data contains across line breaks."""
        if b"\n" not in data or not self._encodings:
            return
        joined = b"".join(line.strip(b" \t\r") for line in data.split(b"\n"))
        for encoding in self._encodings:
            if encoding.edges is None or len(encoding.needle) < MIN_WRAPPED_LENGTH:
                continue
            if encoding.needle in joined and encoding.wrapped_pattern().search(data):
                yield encoding


def encodings(value: str) -> list[Encoding]:
    """Return the encodings of a secret value, and of each of its lines.

    They are: plain, UTF-16, JSON-, XML- and URL-escapes in any mixture, hex, and base64 in both
    alphabets, with and without padding, at each of the three offsets in a longer base64 text.
    """
    parts = dict.fromkeys((value, value.strip(), *(line.strip() for line in value.splitlines())))
    long_enough = (part for part in parts if len(part) >= MIN_REDACTED_LENGTH)
    return [encoding for part in long_enough for encoding in _encodings(part)]


def _encodings(part: str) -> Iterator[Encoding]:
    raw = part.encode("utf-8", "surrogatepass")
    for exact in (raw, part.encode("utf-16-le", "surrogatepass"), *_hex(raw), *_percent(raw)):
        yield Encoding(exact, re.compile(re.escape(exact)))
    yield from _base64(raw)
    if any(not (c.isascii() and c.isalnum()) for c in part):
        yield from _escaped(part)


def _hex(raw: bytes) -> tuple[bytes, ...]:
    plain = raw.hex().encode()
    apart = [raw.hex(mark).encode() for mark in (":", " ")]
    return tuple(f for encoding in (plain, *apart) for f in (encoding, encoding.upper()))


def _percent(raw: bytes) -> tuple[bytes, ...]:
    """Return URL encodings that encode every byte, letters too; see `_escaped` for the others."""
    return tuple(b"".join(encoding % byte for byte in raw) for encoding in (b"%%%02x", b"%%%02X"))


def _base64(raw: bytes) -> Iterator[Encoding]:
    """Yield the base64 of the value at each of the three offsets in a longer text.

    The characters at both ends contain only some bits of the value; they are masked too.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        plain = encoded[first:last]
        for core in {plain, plain.translate(URL_SAFE)}:
            head = rb"(?<!\\)[A-Za-z0-9+/_-]?" if before else b""
            tail = rb"[A-Za-z0-9+/_-]?={0,2}" if (before + len(raw)) % 3 else b""
            pattern = re.compile(head + re.escape(core) + tail)
            yield Encoding(core, pattern, edges=(head, tail))


def _escaped(part: str) -> Iterator[Encoding]:
    """Yield the encoding of a value with special characters, each escaped in any common way.

    The needle is its longest run of letters and digits, which nothing escapes. A value without any
    has an empty needle, so its pattern is tried on every text.
    """
    needle = max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
    tokens = re.findall(r"(\\*)([^\\]?)", part)
    pattern = re.compile(b"".join(_token(len(run), c) for run, c in tokens if run or c))
    yield Encoding(needle.encode(), pattern, edges=None)


Escape = tuple[int, int, bytes]  # minimum and maximum number of backslashes, and what follows them


def _token(run: int, c: str) -> bytes:
    """Return the pattern of a run of backslashes and the character after it ("" at the value's end).

    The run and the backslashes that escape the character are matched together. As two parts, they
    would cause catastrophic backtracking on a text that is almost the value.
    """
    escapes = _escapes(c) if c else [(0, 0, b"")]
    alternatives = [_after(4 * run, run, escape) for escape in escapes]
    if run:
        plain = b"|".join(_after(0, 0, escape) for escape in escapes)
        alternatives += [
            b"(?:%s){%d}(?:%s)" % (_after(0, 0, escape), run, plain)
            for escape in _escapes("\\")[1:]
        ]
    return b"(?:" + b"|".join(alternatives) + b")"


def _after(maximum: int, minimum: int, escape: Escape) -> bytes:
    """Return the pattern of an escape after `minimum` to `maximum` backslashes of the value itself."""
    return rb"\\{%d,%d}%s" % (minimum + escape[0], maximum + escape[1], escape[2])


def _escapes(c: str) -> list[Escape]:
    """Return how one character may be written: plain, or escaped for JSON, XML, a shell or a URL."""
    raw = c.encode("utf-8", "surrogatepass")
    if c.isascii() and c.isalnum():
        return [(0, 0, raw)]
    units = _hex_of(c.encode("utf-16-be", "surrogatepass"), 2)
    return [
        (0, 3, re.escape(raw)),
        (1, 2, rb"\\{1,2}".join(b"u(?i:%s)" % unit for unit in units)),
        (0, 0, b"".join(b"%%(?:25)?(?i:%02x)" % byte for byte in raw)),
        (1, 2, rb"\\{1,2}".join(b"x(?i:%02x)" % byte for byte in raw)),
        (0, 0, b"&#(?:0*%d|[xX]0*(?i:%x));" % (ord(c), ord(c))),
        *NAMED_ESCAPES.get(c, ()),
    ]


NAMED_ESCAPES: dict[str, tuple[Escape, ...]] = {
    " ": ((0, 0, rb"\+"),),
    "\n": ((1, 2, b"n"), (0, 0, b"\r\n")),
    "\r": ((1, 2, b"r"),),
    "\t": ((1, 2, b"t"),),
    "&": ((0, 0, b"&amp;"),),
    "<": ((0, 0, b"&lt;"),),
    ">": ((0, 0, b"&gt;"),),
    '"': ((0, 0, b"&quot;"),),
    "'": ((0, 0, b"&apos;"),),
}


def _hex_of(raw: bytes, size: int) -> list[bytes]:
    return [raw[i : i + size].hex().encode() for i in range(0, len(raw), size)]
