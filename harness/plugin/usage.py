"""What was asked for wrongly, in pytest's own way: one sentence, exit 4, nothing deployed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.errors import UsageError


@contextmanager
def as_usage() -> Iterator[None]:
    """Turn our usage errors into pytest's, which it may not be made to inherit from.

    Raises:
        pytest.UsageError: with the same sentence.
    """
    try:
        yield
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
