"""The log of the bridge contains no secrets."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from bridge.logs import JsonLines


@pytest.mark.parametrize("secret", ["plain-word", 'with"quote', "back\\slash", "word"])
def test_secrets_are_masked_in_message_and_traceback(secret: str) -> None:
    """Also those with characters that JSON escapes."""
    formatter = JsonLines((secret, "", f"{secret}-and-more"))
    try:
        raise ValueError(f"{secret}-and-more, {secret}")
    except ValueError:
        record = logging.LogRecord(
            "bridge.x",
            logging.ERROR,
            "",
            1,
            "%s or %s",
            (secret, f"{secret}-and-more"),
            sys.exc_info(),
        )
    row = json.loads(formatter.format(record))
    assert row["text"] == "*** or ***"
    assert row["trace"].endswith("ValueError: ***, ***")
