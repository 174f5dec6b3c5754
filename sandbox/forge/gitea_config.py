"""Gitea's configuration."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path


def sections(
    folder: Path, url: str, port: int, user: str, pages: Path
) -> dict[str, dict[str, object]]:
    """Return the sections of Gitea's app.ini: all on loopback, nothing that needs another machine.

    Args:
        folder: of its data.
        url: its address.
        port: on loopback.
        user: name of the user that it runs as.
        pages: its static folder.
    """
    return {
        "": {
            "APP_NAME": "cc-ci sandbox",
            "RUN_MODE": "prod",
            "RUN_USER": user,
            "WORK_PATH": folder,
        },
        "server": {
            "PROTOCOL": "http",
            "HTTP_ADDR": "127.0.0.1",
            "HTTP_PORT": port,
            "ROOT_URL": f"{url}/",
            "DISABLE_SSH": "true",
            "OFFLINE_MODE": "true",
            "APP_DATA_PATH": folder / "data",
            "STATIC_ROOT_PATH": pages,
        },
        "database": {
            "DB_TYPE": "sqlite3",
            "PATH": folder / "gitea.db",
            "SQLITE_JOURNAL_MODE": "WAL",
        },
        "repository": {"ROOT": folder / "repositories", "DEFAULT_BRANCH": "main"},
        "security": {
            "INSTALL_LOCK": "true",
            "SECRET_KEY": secrets.token_hex(32),
            "INTERNAL_TOKEN": secrets.token_hex(32),
            "PASSWORD_HASH_ALGO": "pbkdf2_v2",
        },
        "oauth2": {
            "JWT_SECRET": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        },
        "service": {"DISABLE_REGISTRATION": "true"},
        "webhook": {"ALLOWED_HOST_LIST": "loopback"},
        "actions": {"ENABLED": "false"},
        "log": {"MODE": "console", "LEVEL": "Warn"},
        "cron": {"ENABLED": "false"},
        "mailer": {"ENABLED": "false"},
    }
