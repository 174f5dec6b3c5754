"""A secret is known again in whatever dress; what is none is left alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness import leak
from harness.secret import MASK, Redactor, Secret
from tests.guards.dresses import DRESSES, PLAIN, VALUES, as_bytes, knowing


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


@pytest.mark.parametrize("value", ["12345", "", " abc ", "install", "Passed", "fail"])
def test_a_weak_secret_is_not_masked(value: str) -> None:
    """Under six characters, or a word of the reports: masking it would leave no report."""
    redactor = Redactor(words=("install", "passed", "fail"))
    redactor.learn([Secret(value)])
    assert redactor.is_weak(Secret(value))
    assert redactor.scrub(f"it is {value} here") == f"it is {value} here"


def test_looking_takes_a_time_that_grows_with_the_text_alone(tmp_path: Path) -> None:
    """A log of 20 MB with five secrets is looked through in seconds, also one that is all one line."""
    redactor = knowing(*(f"{PLAIN}{number}/+é" for number in range(5)))
    line = b"12:00 INFO request GET /api/v1/items?id=42 answered 200 in 7 ms"
    (tmp_path / "lines.log").write_bytes((line + b"\n") * 160_000)
    (tmp_path / "line.log").write_bytes(line * 160_000)
    start = time.process_time()
    assert leak.scan(tmp_path, redactor) == ()
    assert time.process_time() - start < 10.0
