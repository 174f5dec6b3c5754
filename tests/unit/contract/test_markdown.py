"""Untrusted text in Markdown: shown as it is, in one line or one block, without any effect."""

from __future__ import annotations

import re

import pytest

from contract.markdown import MAX_CODE, code_span, escape, fence, prose, table_cell

# -- escaped


@pytest.mark.parametrize(
    "text",
    [
        "ask @admin",
        "@someone/team",
        "see #12 and !34",
        "closes someone/repo#5",
        "<script>alert(1)</script>",
        "![x](http://evil.example/x.png)",
        "[click](javascript:alert(1))",
        "see https://evil.example/a",
        "see www.evil.example",
        "me@evil.example",
        "**bold** _it_ ~~gone~~ `code`",
        "a | b | c",
        "&#64;admin &lt;b&gt;",
        "back\\slash\\@admin",
        "back\\*slash",
        "{{x}}",
        "# heading",
        "- item",
        "1. item",
        "+ item",
        "> quote",
        "=====",
        "---",
        "```",
        "two\n\n# lines",
        "tab\tand\x1b[31mred\x1b[0m",
        "\u202eevil",
        "$a^2$",
        ":tada:",
        "",
    ],
)
def test_escaped_text_has_no_effect(text: str) -> None:
    """It mentions nobody, links nothing, refers to no issue and is not markup."""
    out = escape(text)
    assert "\n" not in out
    assert out.replace("\u200b", "").isprintable()
    assert not re.search(r"@\w|[#!]\d|://\w|www\.|:\w+:", out)
    assert not re.search(r"(?<!\\)(\\\\)*[`*_{}\[\]()<>#|!~&$]", out)
    assert not re.match(r"[-+=>]|\d+[.)]", out)


@pytest.mark.parametrize("text", ["plain words, 12:30:45 o'clock", "a.b/c-d", "größer → ✓"])
def test_ordinary_text_is_not_escaped(text: str) -> None:
    assert escape(text) == text


# -- as code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a\nb\r\n\tc\x85d\u2028e", "`a b c d e`"),
        ("\x1b[31mred\x1b[0m \x1b]8;;http://evil.example\x07link\x1b]8;;\x07", "`red link`"),
        ("a\x00b\u202ec", "`a\ufffdb\ufffdc`"),
        ("`@alice`", "`´@alice´`"),
        ("x" * 1000, f"`{'x' * (MAX_CODE - 1)}…`"),
    ],
)
def test_a_code_span_is_one_short_line_that_text_cannot_end(text: str, shown: str) -> None:
    """Within it a forge mentions nobody and links nothing."""
    assert code_span(text) == shown


@pytest.mark.parametrize(
    "text",
    ["www.evil.example", "see WWW.evil.example", "1. item", "- item", ") x", ":tada:", "a:b:", "x@y",
     "# x", "x" * 301, "a & b", "a\u00e9b", "~~x~~", "a_b_"],
)  # fmt: skip
def test_text_with_anything_but_plain_words_is_code(text: str) -> None:
    """Also what a forge would turn into a link, a list or a picture."""
    assert prose(text) == code_span(text)


@pytest.mark.parametrize("text", ["it failed: no answer (within 30 s), twice", "don't know?"])
def test_plain_words_stay_plain(text: str) -> None:
    assert prose(text) == table_cell(text) == text


def test_a_fence_is_longer_than_any_ticks_in_its_lines() -> None:
    """Escape sequences are removed."""
    assert fence(["\x1b[31mred\x1b[0m", "a\tb ", "\u202e", "````"], "text").split("\n") == [
        *("`````text", "red", "a    b", "\ufffd", "````", "`````")
    ]
