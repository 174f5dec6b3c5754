"""The bridge's settings: from the environment, secrets from files. A mistake names its key."""

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
    """Settings that the bridge cannot start with; the text names every wrong key."""


def _url(value: object) -> str:
    text = str(value).rstrip("/")
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("an address like https://git.example.org is needed")
    return text


def _names(value: object) -> tuple[str, ...]:
    names = tuple(name.strip() for name in str(value).split(",") if name.strip())
    for name in names:
        if not re.match(NAME, name):
            raise ValueError(f"'{name}' is no name; separate names by commas")
    return names


def _secret(value: object) -> SecretStr:
    """Read a secret from the file of this path."""
    try:
        text = Path(str(value)).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read '{value}': {getattr(error, 'strerror', error)}") from error
    if not text:
        raise ValueError(f"'{value}' is empty")
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            f"'{value}' must hold one word of printable ASCII, since it is sent in headers"
        )
    return SecretStr(text)


Url = Annotated[str, BeforeValidator(_url)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
SecretFile = Annotated[SecretStr, BeforeValidator(_secret)]


class Settings(BaseModel):
    """Everything that can be set. Times are seconds, sizes bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gitea_url: Url = Field(description="address of the forge")
    gitea_org: str = Field(pattern=NAME, description="organisation that holds the recipes")
    gitea_token: SecretFile = Field(description="file with the bot's token for the forge")
    drone_url: Url = Field(description="address of Drone's server")
    drone_token: SecretFile = Field(description="file with the token of a Drone admin user")
    drone_repo: str = Field(
        pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$", description="repository with `.drone.yml`"
    )
    drone_branch: str = Field("main", pattern=NAME, description="its trusted branch")
    drone_public_url: str = Field("", description="Drone's address for links; empty: `DRONE_URL`")
    hook_secret: SecretFile | None = Field(
        None, description="file with the webhook's secret; without it `/hook` is closed"
    )
    listen: str = Field(
        "127.0.0.1:8083", pattern=r"^[^\s:]+:\d{1,5}$", description="address to listen on"
    )
    state: Path = Field(Path("/var/lib/cc-ci-bridge/bridge.sqlite"), description="the state's file")
    poll_seconds: float = Field(
        30.0, ge=0, le=3600, description="between two looks at the forge; 0: only the webhook"
    )
    recipes_dir: Path = Field(
        CHECKOUT / "recipes_tests", description="a folder in it enrols the recipe of its name"
    )
    allowed: Names = Field(
        (), description="people who may trigger beside the organisation's members"
    )
    ignored: Names = Field((), description="other bots: what they write is no command")
    runs_url: str = Field("", description="address under which run directories can be read")
    silence_seconds: float = Field(
        600.0, ge=60, description="without a line in its log, after which a build counts as dead"
    )
    start_within: float = Field(
        3600.0, ge=60, description="how long a build is tried to be started before giving up"
    )

    @property
    def links(self) -> str:
        """The address of Drone's pages."""
        return (self.drone_public_url or self.drone_url).rstrip("/")


def keys() -> dict[str, str]:
    """Return the environment's key of each setting; secrets are read from the file it names."""
    found = {}
    for name, field in Settings.model_fields.items():
        key = name.upper() if name.startswith(("gitea", "drone")) else f"BRIDGE_{name.upper()}"
        found[name] = f"{key}_FILE" if "SecretStr" in str(field.annotation) else key
    return found


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; a secret without a `_FILE` key is looked for among systemd's credentials.

    Raises:
        SettingsError: a key is missing, wrong or unknown.
    """
    names = keys()
    values = {name: environ[key] for name, key in names.items() if environ.get(key)}
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for name, key in names.items():
        if key.endswith("_FILE") and name not in values and folder:
            path = Path(folder) / name
            values |= {name: str(path)} if path.exists() else {}
    unknown = sorted(k for k in environ if k.startswith("BRIDGE_") and k not in names.values())
    wrong = [f"{key}: no such setting; there are {', '.join(names.values())}" for key in unknown]
    try:
        made = Settings.model_validate(values)
    except ValidationError as error:
        wrong += [_sentence(item, names) for item in error.errors()]
    if wrong:
        raise SettingsError("the bridge cannot start:\n  " + "\n  ".join(wrong))
    return made


def _sentence(item: Mapping[str, object], names: Mapping[str, str]) -> str:
    location = item["loc"]
    name = str(location[0]) if isinstance(location, tuple) and location else ""
    what = str(Settings.model_fields[name].description)
    if item["type"] == "missing":
        return f"{names[name]}: missing; it is the {what}"
    return f"{names[name]}: {str(item['msg']).removeprefix('Value error, ')} ({what})"


def document() -> str:
    """Return the table of all settings for the documents."""
    rows = ["| key | default | what |", "|---|---|---|"]
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
