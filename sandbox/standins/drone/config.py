"""Settings of the stand-in, read from a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEYS = {
    "port": int,
    "data": str,
    "tokens": dict,
    "repos": dict,
    "capacity": int,
    "environ": dict,
    "public_url": str,
    "hook_secret": str,
    "lose_cancels": bool,
    "pickup_delay": float,
    "missing_yaml_wait": float,
}
REPO_KEYS = {"clone_url": str, "branch": str, "active": bool, "timeout_minutes": float}
USER_KEYS = {"login": str, "admin": bool}
TYPE_NAMES = {int: "a whole number", str: "text", dict: "an object", bool: "true or false"}


class ConfigError(Exception):
    """A setting is wrong; the message names the file, the key and the expected value."""


@dataclass(frozen=True, slots=True)
class User:
    """The user that a token belongs to."""

    login: str
    admin: bool


@dataclass(frozen=True, slots=True)
class Repo:
    """One repository of the settings."""

    slug: str
    clone_url: str
    branch: str
    active: bool
    timeout_minutes: float
    id: int

    @property
    def owner(self) -> str:
        """The part of the slug before the slash."""
        return self.slug.split("/")[0]

    @property
    def name(self) -> str:
        """The part of the slug after the slash."""
        return self.slug.split("/")[1]

    @property
    def link(self) -> str:
        """URL of the repository's page at the forge."""
        return self.clone_url.removesuffix(".git")

    @property
    def forge(self) -> str:
        """URL of the forge."""
        return self.link.removesuffix(f"/{self.slug}")


@dataclass(frozen=True, slots=True)
class Config:
    """All settings."""

    port: int
    data: Path
    tokens: Mapping[str, User]
    repos: Mapping[str, Repo]
    capacity: int
    environ: Mapping[str, str]
    public_url: str
    hook_secret: str
    lose_cancels: bool
    pickup_delay: float  # seconds
    missing_yaml_wait: float  # seconds

    @property
    def host(self) -> str:
        """Host and port of the public URL."""
        return self.public_url.partition("//")[2].split("/")[0]


def load(path: Path) -> Config:
    """Read the settings from a file.

    Raises:
        ConfigError: the file cannot be read, or a key is wrong.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the settings '{path}': {error}") from error
    try:
        return _config(found)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _config(found: object) -> Config:
    values = _checked("the settings", found, KEYS, required=("port", "data", "tokens", "repos"))
    port, capacity = values["port"], values.get("capacity", 2)
    if not 0 < port < 65536:
        raise ConfigError(f"'port' is {port}; a port is a number from 1 to 65535")
    if capacity < 1:
        raise ConfigError(f"'capacity' is {capacity}; the runner needs at least 1")
    data = Path(values["data"])
    if not data.is_absolute():
        raise ConfigError(f"'data' is '{data}'; it must be an absolute path")
    return Config(
        port=port,
        data=data,
        tokens={token: _user(token, user) for token, user in values["tokens"].items()},
        repos={
            slug: _repo(slug, repo, number)
            for number, (slug, repo) in enumerate(values["repos"].items(), start=1)
        },
        capacity=capacity,
        environ=_text_values("environ", values.get("environ", {})),
        public_url=values.get("public_url", f"http://127.0.0.1:{port}").rstrip("/"),
        hook_secret=values.get("hook_secret", ""),
        lose_cancels=values.get("lose_cancels", False),
        pickup_delay=_seconds("pickup_delay", values.get("pickup_delay", 0.0)),
        missing_yaml_wait=_seconds("missing_yaml_wait", values.get("missing_yaml_wait", 45.0)),
    )


def _user(token: str, found: object) -> User:
    where = f"the token '{token[:3]}…'"  # messages must not contain the whole token
    values = _checked(where, found, USER_KEYS, required=("login",))
    return User(values["login"], values.get("admin", False))


def _repo(slug: str, found: object, number: int) -> Repo:
    values = _checked(f"the repository '{slug}'", found, REPO_KEYS, required=("clone_url",))
    if slug.count("/") != 1 or not all(slug.split("/")):
        raise ConfigError(f"the repository '{slug}' must be named 'owner/name'")
    minutes = values.get("timeout_minutes", 60)
    if minutes <= 0:
        raise ConfigError(f"'timeout_minutes' of '{slug}' is {minutes}; it must be above 0")
    return Repo(
        slug=slug,
        clone_url=values["clone_url"],
        branch=values.get("branch", "main"),
        active=values.get("active", True),
        timeout_minutes=minutes,
        id=number,
    )


def _text_values(key: str, found: Mapping[str, object]) -> dict[str, str]:
    for name, value in found.items():
        if not isinstance(value, str):
            raise ConfigError(f"'{key}.{name}' is {value!r}; it must be text")
    return {name: str(value) for name, value in found.items()}


def _seconds(key: str, value: float) -> float:
    if value < 0:
        raise ConfigError(f"'{key}' is {value}; it must not be below 0 seconds")
    return value


def _checked(
    where: str, found: object, keys: Mapping[str, type], *, required: tuple[str, ...]
) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise ConfigError(f"{where} must be an object")
    for key, value in found.items():
        if key not in keys:
            raise ConfigError(f"{where}: unknown key '{key}'; known are {', '.join(keys)}")
        if not _fits(value, keys[key]):
            wanted = TYPE_NAMES.get(keys[key], "a number")
            raise ConfigError(f"{where}: '{key}' is {value!r}; it must be {wanted}")
    for key in required:
        if key not in found:
            raise ConfigError(f"{where}: the key '{key}' is missing")
    return found


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
