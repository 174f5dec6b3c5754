"""A secret is known again in whatever dress; what is none is left alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from harness.host import signals
from harness.reporting import secret_scan
from harness.secret import MASK, Redactor, Secret
from tests.support.secret_encodings import DRESSES, PLAIN, TRICKY, VALUES, as_bytes, knowing


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("dress", DRESSES)
def test_a_secret_is_masked_in_every_dress(dress: str, value: str) -> None:
    """Whatever encodes a value, nothing of it is left, and what stands around it stays."""
    redactor = knowing(VALUES[value])
    data = b"before " + as_bytes(dress, DRESSES[dress](VALUES[value])) + b" after"
    masked = redactor.mask(data)
    assert redactor.leaks(data) and not redactor.leaks(masked)
    assert masked.startswith(b"before ") and masked.endswith(b" after")
    assert MASK.encode() in masked
    assert not [part for part in pieces(dress, VALUES[value]) if part in masked]


def pieces(dress: str, value: str) -> list[bytes]:
    """Return every eight bytes of a value's own part of its dress; what holds none tells nothing."""
    alone = as_bytes(dress, DRESSES[dress](value))
    around = {as_bytes(dress, DRESSES[dress](c * len(value.encode()))) for c in "ab"}
    parts = {alone[i : i + 8] for i in range(len(alone) - 7)}
    return [part for part in parts if not any(part in other for other in around)]


@pytest.mark.parametrize("value", VALUES)
def test_each_line_of_a_secret_is_a_secret(value: str) -> None:
    """A log prints a key line by line, with its own words before each."""
    redactor = knowing(VALUES[value])
    text = "\n".join(f"12:00 db | {line}" for line in VALUES[value].splitlines())
    assert not redactor.leaks(redactor.scrub(text))
    assert redactor.scrub(text).count(MASK) == len(VALUES[value].splitlines())


def test_ordinary_text_is_left_alone() -> None:
    """Without a secret in it, a text is the same object: nothing was copied, nothing changed."""
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
    """Under six characters, or a word of the reports: masking it would leave no report."""
    redactor = Redactor(words=("install", "passed", "fail"))
    redactor.learn([Secret(value)])
    assert redactor.is_weak(Secret(value))
    assert redactor.scrub(f"it is {value} here") == f"it is {value} here"


def test_six_characters_are_enough_to_be_a_secret() -> None:
    """What is as long as the shortest is masked in every dress that is no longer text by chance."""
    redactor = knowing("a1B2c3")
    for text in ("a1B2c3", "YTFCMmMz", "613142326333"):
        assert redactor.scrub(f"it is {text} here") == f"it is {MASK} here"


@pytest.mark.parametrize(("value", "masked"), [("a1B2c3d4E5f", False), ("a1B2c3d4E5f6", True)])
def test_a_value_on_two_lines_is_told_from_chance_by_its_length(value: str, masked: bool) -> None:
    """Twelve bytes that lie on two lines are the secret, eleven may be the lines of two."""
    text = f"{value[:5]}\n{value[5:]}"
    assert (knowing(value).scrub(text) == MASK) is masked
    assert knowing(value).leaks(text) is masked


def test_short_lines_of_a_secret_are_no_secrets() -> None:
    """A line that would be too weak as a secret is too weak as a part of one."""
    assert knowing("abc\na longer line").scrub("abc of a longer line") == f"abc of {MASK}"


def test_a_value_is_known_without_the_line_end_of_its_file() -> None:
    """What reads a secret's file takes the blanks at its ends away."""
    redactor = knowing("\nab\ncd\nef\n")
    assert redactor.scrub("it is ab\ncd\nef here") == f"it is {MASK} here"


@pytest.mark.parametrize("values", [(PLAIN, f'a"{PLAIN}"z'), (f'a"{PLAIN}"z', PLAIN)])
@pytest.mark.parametrize("dress", ["plain", "json", "json-twice", "url", "base64-alone", "hex"])
def test_a_secret_within_another_leaves_no_rest_of_it(dress: str, values: tuple[str, ...]) -> None:
    """Whichever was learnt first, the whole of the longer one goes."""
    text = DRESSES[dress](max(values, key=len))
    rest = knowing(*values).scrub(text).replace(MASK, "").strip('{}"\\: ')
    assert rest in ("", "a")  # the key of the JSON object


@pytest.mark.parametrize("dress", ["plain", "json", "json-twice", "xml", "url", "url-with-plus"])
def test_a_secret_of_short_lines_is_known_as_a_whole(dress: str) -> None:
    """No line of it is long enough to be known alone, so its line ends and tabs are part of it."""
    value = "ab\ncd\tef\rg'h"
    assert MASK in knowing(value).scrub(DRESSES[dress](value))
    assert knowing("ab\ncd\nef").scrub("ab\r\ncd\r\nef") == MASK


def test_masking_does_not_break_the_json_around_it() -> None:
    """Before base64 that begins a line stands an escaped line end, whose letter is not of base64."""
    redactor, text = knowing(PLAIN), DRESSES["base64-at-1"](PLAIN)
    cut = [json.dumps({"a": f"{text[:n]}\n{text[n:]}"}) for n in range(len(text))]
    found = [redactor.scrub(line) for line in cut if redactor.leaks(line)]
    assert found and all(MASK in json.loads(line)["a"] for line in found)


def test_a_secret_that_is_no_unicode_is_masked() -> None:
    """Bytes of a program's output that could not be decoded are no way out."""
    value = b"caf\xe9-secret".decode("utf-8", "surrogateescape")
    assert knowing(value).scrub(f"it is {value} here") == f"it is {MASK} here"
    assert knowing(value).leaks(value)


def test_a_secret_is_no_text() -> None:
    """Nothing but its one way leads to its value: no print, no comparison with a text."""
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
def test_a_secret_of_backslashes_is_looked_for_in_finite_time(value: str, nearly: str) -> None:
    """A backslash may be the secret's or an escape's; a text that is nearly it is not asked for ever."""
    redactor = knowing(value)
    with signals.time_limit(10.0, "looking"):
        assert not redactor.leaks(f"before {nearly} after")
    for dress in ("plain", "json", "json-twice", "url", "xml"):
        assert redactor.scrub(f"it is {DRESSES[dress](value)} here").count(MASK) == 1, dress


def test_looking_takes_a_time_that_grows_with_the_text_alone(tmp_path: Path) -> None:
    """A log of 20 MB with five secrets is looked through in seconds, also one that is all one line."""
    redactor = knowing(*(f"{PLAIN}{number}/+é" for number in range(5)))
    line = b"12:00 INFO request GET /api/v1/items?id=42 answered 200 in 7 ms"
    (tmp_path / "lines.log").write_bytes((line + b"\n") * 160_000)
    (tmp_path / "line.log").write_bytes(line * 160_000)
    start = time.process_time()
    assert secret_scan.scan(tmp_path, redactor) == ()
    assert time.process_time() - start < 10.0
