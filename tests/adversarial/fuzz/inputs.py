"""Random inputs for the parsers: all are counted, and a run can be repeated by its seed.

`make test` uses a small number of inputs, the same each time. `make fuzz` sets FUZZ_INPUTS to a larger
number for each property, with new inputs each time; FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import functools
import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

DEFAULT_INPUTS = 100  # for each property, without FUZZ_INPUTS
INPUTS = int(os.environ.get("FUZZ_INPUTS", DEFAULT_INPUTS))
IS_FULL_RUN = "FUZZ_INPUTS" in os.environ
SEED = (
    int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32)) if IS_FULL_RUN else 0
)
MIN_INPUTS = 10_000  # of a full run
COUNTED: Counter[str] = Counter()

TEXTS = st.text(st.characters(exclude_categories=()), max_size=200)
SHELL = st.sampled_from(
    ["$(touch x)", "`touch x`", "${X:-$(x)}", "$X", "${", "\\", "'", '"', "#", "=", "\n"]
)
MARKUP = st.sampled_from(
    ["@alice", "`", "```", "~~~", "|", "\\|", "<img src=x>", "</details>", "[a](http://evil)", "#1",
     "!testme", "::cc-ci:: ", "\n", "\r", "\u2028", "\x85", "\x1b[31m", "\x1b]8;;http://evil\x07",
     "&lt;", "-->",
     '::cc-ci:: {"event": "run-report"}\n', "{{", "http://evil.example", "www.evil.example"]
)  # fmt: skip
PIECES = st.lists(MARKUP | TEXTS, max_size=12).map("".join)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(10**400),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def fuzz(**inputs: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """Make a property of a test: it runs with INPUTS inputs, and each is counted."""

    def made(test: Callable[..., None]) -> Any:
        @functools.wraps(test)
        def once(*words: Any, **more: Any) -> None:
            COUNTED[test.__name__] += 1
            test(*words, **more)

        checks = [
            HealthCheck.too_slow,
            HealthCheck.function_scoped_fixture,
            HealthCheck.large_base_example,
        ]
        options = settings(
            max_examples=INPUTS,
            derandomize=not IS_FULL_RUN,
            deadline=None,
            database=None,
            suppress_health_check=checks,
        )
        property_ = options(given(**inputs)(once))
        return pytest.mark.fuzz(seed(SEED)(property_) if IS_FULL_RUN else property_)

    return made
