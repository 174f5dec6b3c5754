"""Secrets are masked in every encoding; other text is not changed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.host import signals
from harness.reporting import secret_scan
from harness.secret import MASK, Redactor, Secret
from tests.adversarial.secrets.secret_encodings import (
    ENCODINGS,
    PLAIN,
    TRICKY,
    VALUES,
    as_bytes,
    knowing,
)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_is_masked_in_every_encoding(encoding: str, value: str) -> None:
    """No part of the value is left, and the text around it stays."""
    redactor = knowing(VALUES[value])
    data = b"before " + as_bytes(encoding, ENCODINGS[encoding](VALUES[value])) + b" after"
    masked = redactor.mask(data)
    assert redactor.leaks(data) and not redactor.leaks(masked)
    assert masked.startswith(b"before ") and masked.endswith(b" after")
    assert MASK.encode() in masked
    assert not [part for part in pieces(encoding, VALUES[value]) if part in masked]


def pieces(encoding: str, value: str) -> list[bytes]:
    """Return every eight bytes of an encoded value that do not also occur in other values' encodings."""
    alone = as_bytes(encoding, ENCODINGS[encoding](value))
    around = {as_bytes(encoding, ENCODINGS[encoding](c * len(value.encode()))) for c in "ab"}
    parts = {alone[i : i + 8] for i in range(len(alone) - 7)}
    return [part for part in parts if not any(part in other for other in around)]


@pytest.mark.parametrize("value", VALUES)
def test_each_line_of_a_secret_is_masked(value: str) -> None:
    """A log may print a key line by line, with a prefix on each line."""
    redactor = knowing(VALUES[value])
    text = "\n".join(f"12:00 db | {line}" for line in VALUES[value].splitlines())
    assert not redactor.leaks(redactor.scrub(text))
    assert redactor.scrub(text).count(MASK) == len(VALUES[value].splitlines())


def test_ordinary_text_is_not_changed() -> None:
    redactor = knowing(*VALUES.values())
    for text in (
        "",
        "w0rd",
        "hunter2",
        "BEGIN KEY",
        "base64 aHVudGVy",
        "100%",
        "a\nb\r\nc",
        "\ud800",
    ):
        assert redactor.scrub(text) == text and not redactor.leaks(text)


@pytest.mark.parametrize("value", ["12345", "", "   abc   ", "install", "Passed", "fail"])
def test_a_weak_secret_is_not_masked(value: str) -> None:
    """Masking words of the reports would make the report unreadable."""
    redactor = Redactor(words=("install", "passed", "fail"))
    redactor.learn([Secret(value)])
    assert redactor.is_weak(Secret(value))
    assert redactor.scrub(f"it is {value} here") == f"it is {value} here"


def test_a_secret_of_six_characters_is_masked() -> None:
    redactor = knowing("a1B2c3")
    for text in ("a1B2c3", "YTFCMmMz", "613142326333"):
        assert redactor.scrub(f"it is {text} here") == f"it is {MASK} here"


@pytest.mark.parametrize(("value", "masked"), [("a1B2c3d4E5f", False), ("a1B2c3d4E5f6", True)])
def test_a_value_split_over_two_lines_is_masked_from_twelve_bytes_on(
    value: str, masked: bool
) -> None:
    """A shorter one may occur across a line break by chance."""
    text = f"{value[:5]}\n{value[5:]}"
    assert (knowing(value).scrub(text) == MASK) is masked
    assert knowing(value).leaks(text) is masked


def test_short_lines_of_a_secret_are_not_masked_alone() -> None:
    """A line that would be too weak as a secret is too weak as a part of one."""
    assert knowing("abc\na longer line").scrub("abc of a longer line") == f"abc of {MASK}"


def test_a_value_is_masked_without_the_line_breaks_around_it() -> None:
    """Programs strip the content of a secret's file."""
    redactor = knowing("\nab\ncd\nef\n")
    assert redactor.scrub("it is ab\ncd\nef here") == f"it is {MASK} here"


@pytest.mark.parametrize("values", [(PLAIN, f'a"{PLAIN}"z'), (f'a"{PLAIN}"z', PLAIN)])
@pytest.mark.parametrize("encoding", ["plain", "json", "json-twice", "url", "base64-alone", "hex"])
def test_a_secret_inside_another_leaves_no_part_of_it(
    encoding: str, values: tuple[str, ...]
) -> None:
    """Whichever was learned first, the whole longer value is masked."""
    text = ENCODINGS[encoding](max(values, key=len))
    rest = knowing(*values).scrub(text).replace(MASK, "").strip('{}"\\: ')
    assert rest in ("", "a")  # the key of the JSON object


@pytest.mark.parametrize("encoding", ["plain", "json", "json-twice", "xml", "url", "url-with-plus"])
def test_a_secret_of_short_lines_is_masked_as_a_whole(encoding: str) -> None:
    """Each of its lines is too short to be masked alone."""
    value = "ab\ncd\tef\rg'h"
    assert MASK in knowing(value).scrub(ENCODINGS[encoding](value))
    assert knowing("ab\ncd\nef").scrub("ab\r\ncd\r\nef") == MASK


def test_masking_does_not_break_the_json_around_it() -> None:
    """A base64 text may follow an escaped line break, whose letter is not base64."""
    redactor, text = knowing(PLAIN), ENCODINGS["base64-at-1"](PLAIN)
    cut = [json.dumps({"a": f"{text[:n]}\n{text[n:]}"}) for n in range(len(text))]
    found = [redactor.scrub(line) for line in cut if redactor.leaks(line)]
    assert found and all(MASK in json.loads(line)["a"] for line in found)


def test_a_secret_that_is_not_valid_unicode_is_masked() -> None:
    """Output of a program that cannot be decoded must not leak it."""
    value = b"caf\xe9-secret".decode("utf-8", "surrogateescape")
    assert knowing(value).scrub(f"it is {value} here") == f"it is {MASK} here"
    assert knowing(value).leaks(value)


def test_a_secret_is_not_printed_or_equal_to_a_text() -> None:
    secret = Secret(PLAIN)
    assert PLAIN not in f"{secret} {secret!r} {[secret]} {secret!s:>40}"
    assert secret != PLAIN and secret == Secret(PLAIN) and secret != Secret(TRICKY)
    assert secret.reveal() == PLAIN


@pytest.mark.parametrize(
    ("value", "nearly"),
    [
        ("\\" * 40, "\\" * 39),
        ("\\!" * 30, "\\\\!" * 29 + "\\\\?"),
        ("a\\\\&" * 20, "a\\\\\\\\&" * 19),
        ("!" * 60, "\\!" * 59),
    ],
)
def test_a_secret_of_backslashes_causes_no_catastrophic_backtracking(
    value: str, nearly: str
) -> None:
    """The worst case is a text that is almost the secret: each backslash may belong to it or to an escape."""
    redactor = knowing(value)
    with signals.time_limit(10.0, "looking"):
        assert not redactor.leaks(f"before {nearly} after")
    for encoding in ("plain", "json", "json-twice", "url", "xml"):
        assert redactor.scrub(f"it is {ENCODINGS[encoding](value)} here").count(MASK) == 1, encoding


def test_a_large_log_is_scanned_in_seconds(tmp_path: Path) -> None:
    """20 MB with five secrets, in lines and as a single line."""
    redactor = knowing(*(f"{PLAIN}{number}/+é" for number in range(5)))
    line = b"12:00 INFO request GET /api/v1/items?id=42 answered 200 in 7 ms"
    (tmp_path / "lines.log").write_bytes((line + b"\n") * 160_000)
    (tmp_path / "line.log").write_bytes(line * 160_000)
    start = time.process_time()
    assert secret_scan.scan(tmp_path, redactor) == ()
    assert time.process_time() - start < 10.0
