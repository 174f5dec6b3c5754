"""Settings of the bridge: from the environment, secrets from files. Each error names its key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

CHECKOUT = Path(__file__).resolve().parent.parent
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class SettingsError(Exception):
    """Invalid settings; the text names every wrong key."""


def _url(value: object) -> str:
    text = str(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be a URL like https://git.example.org")
    return text


def _names(value: object) -> tuple[str, ...]:
    names = tuple(name.strip() for name in str(value).split(",") if name.strip())
    for name in names:
        if not re.match(NAME, name):
            raise ValueError(f"'{name}' is not a valid name; separate names by commas")
    return names


def _secret(value: object) -> SecretStr:
    """Read a secret from the file at this path."""
    try:
        text = Path(str(value)).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read '{value}': {getattr(error, 'strerror', error)}") from error
    if not text:
        raise ValueError(f"'{value}' is empty")
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            f"'{value}' must contain one word of printable ASCII, because it is sent in HTTP headers"
        )
    return SecretStr(text)


Url = Annotated[str, BeforeValidator(_url)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
SecretFile = Annotated[SecretStr, BeforeValidator(_secret)]


class Settings(BaseModel):
    """All settings. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gitea_url: Url = Field(description="URL of the forge")
    gitea_org: str = Field(pattern=NAME, description="organisation with the recipes")
    gitea_token: SecretFile = Field(description="file with the bot's token for the forge")
    drone_url: Url = Field(description="URL of the Drone server")
    drone_token: SecretFile = Field(description="file with the token of a Drone admin user")
    drone_repo: str = Field(
        pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", description="repository with `.drone.yml`"
    )
    drone_branch: str = Field("main", pattern=NAME, description="trusted branch of that repository")
    drone_public_url: str = Field("", description="URL of Drone for links; empty: `DRONE_URL`")
    hook_secret: SecretFile | None = Field(
        None, description="file with the webhook's secret; without it `/hook` refuses all requests"
    )
    listen: str = Field(
        "127.0.0.1:8083", pattern=r"^[^\s:]+:\d{1,5}$", description="address to listen on"
    )
    state: Path = Field(
        Path("/var/lib/cc-ci-bridge/bridge.sqlite"),
        description="SQLite file with the persistent state",
    )
    poll_seconds: float = Field(
        30.0, ge=0, le=3600, description="seconds between two polls of the forge; 0: webhook only"
    )
    recipes_dir: Path = Field(
        CHECKOUT / "recipes_tests",
        description="folder with the suites; each folder in it enrols the recipe of its name",
    )
    allowed: Names = Field(
        (),
        description="users who may start runs although they are not members, separated by commas",
    )
    ignored: Names = Field((), description="logins of other bots, whose comments are ignored")
    runs_url: str = Field("", description="URL of the run directories, for links")
    silence_seconds: float = Field(
        600.0, ge=60, description="seconds without log output after which a build counts as lost"
    )
    start_within: float = Field(
        3600.0, ge=60, description="seconds during which starting a build is retried"
    )

    @property
    def links(self) -> str:
        """The URL of Drone for links."""
        return (self.drone_public_url or self.drone_url).rstrip("/")


def keys() -> dict[str, str]:
    """Return the environment variable of each setting; one that ends in `_FILE` names a file."""
    found = {}
    for name, field in Settings.model_fields.items():
        key = name.upper() if name.startswith(("gitea", "drone")) else f"BRIDGE_{name.upper()}"
        found[name] = f"{key}_FILE" if "SecretStr" in str(field.annotation) else key
    return found


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; a secret without a `_FILE` key is read from systemd's credentials.

    Raises:
        SettingsError: a key is missing, invalid or unknown.
    """
    names = keys()
    values = {name: environ[key] for name, key in names.items() if environ.get(key)}
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for name, key in names.items():
        if key.endswith("_FILE") and name not in values and folder:
            path = Path(folder) / name
            values |= {name: str(path)} if path.exists() else {}
    unknown = sorted(k for k in environ if k.startswith("BRIDGE_") and k not in names.values())
    wrong = [f"{key}: unknown setting; known are {', '.join(names.values())}" for key in unknown]
    try:
        made = Settings.model_validate(values)
    except ValidationError as error:
        wrong += [_sentence(item, names) for item in error.errors()]
    if wrong:
        raise SettingsError("invalid settings:\n  " + "\n  ".join(wrong))
    return made


def _sentence(item: Mapping[str, object], names: Mapping[str, str]) -> str:
    location = item["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else ""
    what = str(Settings.model_fields[name].description)
    if item["type"] == "missing":
        return f"{names[name]}: missing ({what})"
    return f"{names[name]}: {str(item['msg']).removeprefix('Value error, ')} ({what})"


def document() -> str:
    """Return the Markdown table of all settings for docs/bridge.md."""
    rows = ["| key | default | description |", "|---|---|---|"]
    for name, key in keys().items():
        field = Settings.model_fields[name]
        default = "required" if field.is_required() else _default(field.default)
        rows.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if value in (None, "", ()):
        return "–"
    if isinstance(value, Path) and value.is_relative_to(CHECKOUT):
        return f"`{value.relative_to(CHECKOUT)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
