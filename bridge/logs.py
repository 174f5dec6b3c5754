"""The bridge's log: one JSON object a line; no secret ever reaches it."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON, with every known secret masked."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("bridge."),
            "text": record.getMessage(),
        }
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        line = json.dumps(row, ensure_ascii=False)
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line


def set_up(secrets: tuple[str, ...], stream: TextIO = sys.stderr) -> None:
    """Send the log to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("urllib3", "werkzeug", "waitress"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
