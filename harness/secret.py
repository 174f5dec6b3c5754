"""Values nobody may read by accident, and their removal from what leaves the run.

A secret reaches a log in many dresses: on several lines, base64 inside a longer base64 text, URL- or
JSON-escaped, in hex. Each is a `Form`: some bytes that are looked for quickly, and the pattern that
masks what was found. Looking is linear: one pass of the C library's search for each form.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MASK = "[secret]"
SHORTEST_REDACTED = 6  # characters; shorter values occur by chance in ordinary text
SHORTEST_WRAPPED = 12  # bytes; a shorter form that lies on two lines is there by chance
URL_SAFE = bytes.maketrans(b"+/", b"-_")
BREAK = rb"(?:\r?\n[ \t]*)?"


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


@dataclass(frozen=True, slots=True)
class Form:
    """One way a secret shows up: bytes that must be there, and what is masked where they are.

    edges: patterns of what is masked before and behind the bytes; None where these are only a stretch
    of what the pattern masks.
    """

    needle: bytes
    pattern: re.Pattern[bytes]
    edges: tuple[bytes, bytes] | None = (b"", b"")

    @property
    def reach(self) -> int:
        """How much of a text it finds at least, in bytes or a measure of them."""
        return len(self.pattern.pattern if self.edges is None else self.needle)

    def over_lines(self) -> re.Pattern[bytes]:
        """Return the pattern that finds the form where line ends stand in it."""
        head, tail = self.edges or (b"", b"")
        middle = BREAK.join(re.escape(bytes([byte])) for byte in self.needle)
        return re.compile(head + middle + (BREAK + tail if tail else b""))


class Redactor:
    """Knows the secrets of one run and masks them, in every form of `forms`.

    words: what reports are made of (names of stages, outcomes); a secret that is one of these is not
    masked, since nothing of the report would be left.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words = frozenset(word.lower() for word in words)
        self._forms: list[Form] = []

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Remember values; those that are too weak to be told from ordinary text are left out.

        A value may be a part of another: what finds more is tried first, so that no rest is left.
        """
        for secret in secrets:
            if not self.is_weak(secret):
                self._forms += forms(secret.reveal())
        unlike = {form.pattern.pattern: form for form in self._forms}
        self._forms = sorted(unlike.values(), key=lambda form: -form.reach)

    def is_weak(self, secret: Secret) -> bool:
        """Say whether a value is too short (under 6 characters) or a word of the reports."""
        value = secret.reveal().strip()
        return len(value) < SHORTEST_REDACTED or value.lower() in self._words

    @property
    def longest(self) -> int:
        """The most bytes a form can span; what reads in pieces overlaps them by so much.

        Twice the longest pattern: a form that is written in lines has their ends and indents in it.
        """
        return 2 * max((len(form.pattern.pattern) for form in self._forms), default=0)

    def scrub(self, text: str) -> str:
        """Return the text with every known form of every known secret masked."""
        data = text.encode("utf-8", "surrogatepass")
        found = self.mask(data)
        return text if found is data else found.decode("utf-8", "surrogatepass")

    def mask(self, data: bytes) -> bytes:
        """Return the bytes with every known form masked; the same object where there was none."""
        for form in self._forms:
            if form.needle in data:
                data = form.pattern.sub(MASK.encode(), data)
        for form in list(self._wrapped(data)):
            data = form.over_lines().sub(MASK.encode(), data)
        return data

    def leaks(self, data: str | bytes) -> bool:
        """Say whether any known form of any known secret stands in the data."""
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        found = (form for form in self._forms if form.needle in raw)
        return any(form.pattern.search(raw) for form in found) or any(self._wrapped(raw))

    def _wrapped(self, data: bytes) -> Iterator[Form]:
        """Yield the forms that stand in the data on more than one line."""
        if b"\n" not in data or not self._forms:
            return
        joined = b"".join(line.strip(b" \t\r") for line in data.split(b"\n"))
        for form in self._forms:
            tellable = form.edges is not None and len(form.needle) >= SHORTEST_WRAPPED
            if tellable and form.needle in joined and form.over_lines().search(data):
                yield form


def forms(value: str) -> list[Form]:
    """Return the ways a secret value may show up, those of its single lines too.

    Plain, in UTF-16, JSON-, XML- and URL-escaped in any mixture, in hex, and in base64: both
    alphabets, with and without padding, at each of the three places in a longer base64 text.
    """
    parts = dict.fromkeys((value, value.strip(), *(line.strip() for line in value.splitlines())))
    return [form for part in parts if len(part) >= SHORTEST_REDACTED for form in _forms(part)]


def _forms(part: str) -> Iterator[Form]:
    raw = part.encode("utf-8", "surrogatepass")
    for exact in (raw, part.encode("utf-16-le", "surrogatepass"), *_hex(raw), *_percent(raw)):
        yield Form(exact, re.compile(re.escape(exact)))
    yield from _base64(raw)
    if any(not (c.isascii() and c.isalnum()) for c in part):
        yield from _escaped(part)


def _hex(raw: bytes) -> tuple[bytes, ...]:
    plain = raw.hex().encode()
    apart = [raw.hex(mark).encode() for mark in (":", " ")]
    return tuple(f for form in (plain, *apart) for f in (form, form.upper()))


def _percent(raw: bytes) -> tuple[bytes, ...]:
    """Return the URL-encoded form in which letters are encoded too; other ones are `_escaped`."""
    return tuple(b"".join(way % byte for byte in raw) for way in (b"%%%02x", b"%%%02X"))


def _base64(raw: bytes) -> Iterator[Form]:
    """Yield what base64 makes of the value at each of the three places in a longer text.

    Of the characters at both ends only some bits are the value's: they are masked with the rest.
    """
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        plain = encoded[first:last]
        for core in {plain, plain.translate(URL_SAFE)}:
            head = rb"(?<!\\)[A-Za-z0-9+/_-]?" if before else b""
            tail = rb"[A-Za-z0-9+/_-]?={0,2}" if (before + len(raw)) % 3 else b""
            pattern = re.compile(head + re.escape(core) + tail)
            yield Form(core, pattern, edges=(head, tail))


def _escaped(part: str) -> Iterator[Form]:
    """Yield the form of a value with special characters, each escaped in any of the usual ways.

    What is looked for is its longest stretch of letters and digits, which nothing escapes; a value
    of signs alone has none, so that its pattern is tried on every text.
    """
    stretch = max(re.findall("[A-Za-z0-9]+", part), key=len, default="")
    tokens = re.findall(r"(\\*)([^\\]?)", part)
    pattern = re.compile(b"".join(_token(len(run), c) for run, c in tokens if run or c))
    yield Form(stretch.encode(), pattern, edges=None)


Way = tuple[int, int, bytes]  # so many backslashes at least and at most, and what comes behind them


def _token(run: int, c: str) -> bytes:
    """Return the pattern of a run of backslashes and the character behind it, "" at the value's end.

    The run and the escape of the character are one stretch of backslashes: were it cut in two, a text
    that is nearly the value would be cut in every way there is, which takes for ever.
    """
    ways = _ways(c) if c else [(0, 0, b"")]
    told = [_after(4 * run, run, way) for way in ways]
    if run:
        plain = b"|".join(_after(0, 0, way) for way in ways)
        told += [b"(?:%s){%d}(?:%s)" % (_after(0, 0, way), run, plain) for way in _ways("\\")[1:]]
    return b"(?:" + b"|".join(told) + b")"


def _after(most: int, least: int, way: Way) -> bytes:
    """Return the pattern of one way behind so many backslashes of the value itself."""
    return rb"\\{%d,%d}%s" % (least + way[0], most + way[1], way[2])


def _ways(c: str) -> list[Way]:
    """Return how one character is written, plain or escaped for JSON, XML, a shell or a URL."""
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
        *NAMED.get(c, ()),
    ]


NAMED: dict[str, tuple[Way, ...]] = {
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
