"""Secrets that an app needs: their names in the Swarm, and random values for them."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.standins.abra import log
from sandbox.standins.abra.files import compose
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.files.env_file import EnvFile, interpolate
from sandbox.standins.abra.log import Fatal

MAX_NAME = 64  # characters of a secret's name; Swarm's limit
VERSION_VARIABLE = re.compile(r"\$\{?(SECRET_\w+_VERSION)")
PASSPHRASE_WORDS = 5
CHARSETS = {
    "default": string.ascii_letters + string.digits,
    "special": "!@#$%^&*_-+=",
    "safespecial": "!@#%^&*_-+=",
}


@dataclass(frozen=True, slots=True)
class SecretSpec:
    """One secret of an app.

    Attributes:
        name: its name in the recipe.
        version: such as `v1`.
        swarm_name: its full name in the Swarm.
        length: characters of a generated value, None for a passphrase.
        charset: as written in the env file.
        generate: False if an operator has to insert it.
    """

    name: str
    version: str
    swarm_name: str
    length: int | None
    charset: str
    generate: bool


def swarm_name(stack: str, name: str, version: str) -> str:
    """Return a secret's name in the Swarm.

    Raises:
        Fatal: it is longer than Swarm allows.
    """
    full = f"{stack}_{name}_{version}"
    _check_length(full, name, stack)
    return full


def of_app(
    merged: Compose, env: EnvFile, values: Mapping[str, str], stack: str
) -> list[SecretSpec]:
    """Return the secrets that the enabled services use, in the order of the compose files.

    Args:
        merged: the app's compose files.
        env: the app's env file, for the modifiers of each secret.
        values: all variables of the compose files, STACK_NAME included.
        stack: the app's stack.

    Raises:
        Fatal: a secret has no version, or its name is too long.
    """
    used = compose.secret_keys(merged.services.values())
    specs = []
    for key, body in merged.section("secrets").items():
        if key not in used or not body.get("external"):
            continue
        raw = str(body.get("name") or key)
        full = interpolate(raw, values)
        if full.endswith("_") or "_" not in full:
            raise Fatal(f"missing version for secret? ({key})")
        _check_length(full, key, stack)
        variable = VERSION_VARIABLE.search(raw)
        modifiers = env.modifiers.get(variable[1], {}) if variable else {}
        specs.append(_spec(key, full, stack, modifiers))
    return specs


def _check_length(full: str, name: str, stack: str) -> None:
    if len(full) > MAX_NAME:
        raise Fatal(f"secret {name} is > {MAX_NAME} chars when combined with {stack}: {full}")


def _spec(key: str, full: str, stack: str, modifiers: Mapping[str, str]) -> SecretSpec:
    middle, _, version = full.removeprefix(f"{stack}_").rpartition("_")
    length = modifiers.get("length", "")
    return SecretSpec(
        name=middle or key,
        version=version,
        swarm_name=full,
        length=int(length) if length.isdigit() and int(length) > 0 else None,
        charset=modifiers.get("charset", "default"),
        generate=modifiers.get("generate", "true").lower() != "false",
    )


def characters(charset: str) -> str:
    """Return the characters of a charset such as `default,special`; unknown names are ignored."""
    named = [CHARSETS[name] for name in charset.split(",") if name in CHARSETS]
    return "".join(dict.fromkeys("".join(named) or CHARSETS["default"]))


def random_value(spec: SecretSpec) -> str:
    """Return a new random value: of the given length, or a passphrase without one."""
    if spec.length is None:
        return "-".join(_word() for _ in range(PASSPHRASE_WORDS))
    pool = characters(spec.charset)
    return "".join(secrets.choice(pool) for _ in range(spec.length))


def _word() -> str:
    return "".join(secrets.choice("bdfgklmnprstvz") + secrets.choice("aeiou") for _ in range(3))


def missing(specs: list[SecretSpec], present: set[str]) -> list[str]:
    """Return abra's message for each secret that the server does not have."""
    return [
        f"secret {spec.swarm_name} not {'generated' if spec.generate else 'inserted'}"
        for spec in specs
        if spec.swarm_name not in present
    ]


def require(specs: list[SecretSpec], present: set[str]) -> None:
    """Require that every secret exists; all missing ones but the first are printed as warnings.

    Raises:
        Fatal: names the first missing one.
    """
    messages = missing(specs, present)
    for message in messages[1:]:
        log.warn(message)
    if messages:
        raise Fatal(messages[0])
