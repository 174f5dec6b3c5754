"""Parse times as Go programs print them (Docker, restic): RFC 3339, nanoseconds, any time zone."""

from __future__ import annotations

import re
from datetime import datetime

FRACTION = re.compile(r"\.(\d{1,6})\d*")


def unix(text: str) -> float:
    """Return a time as unix seconds.

    Raises:
        ValueError: the text is not such a time.
    """
    short = FRACTION.sub(lambda match: f".{match[1]:0<6}", text.replace("Z", "+00:00"))
    return datetime.fromisoformat(short).timestamp()
