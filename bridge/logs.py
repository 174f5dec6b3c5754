"""The log of the bridge: one JSON object a line, with secrets masked."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON and masks every known secret."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        row = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("bridge."),
            "text": record.getMessage(),
        }
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        return json.dumps(
            {key: self._masked(text) for key, text in row.items()}, ensure_ascii=False
        )

    def _masked(self, text: str) -> str:
        """Mask secrets before JSON escapes them; a secret within a longer one comes after that one."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def set_up(secrets: tuple[str, ...], stream: TextIO = sys.stderr) -> None:
    """Send all log records to a stream.

    Args:
        secrets: values to mask.
        stream: where to write.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("urllib3", "werkzeug", "waitress"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
