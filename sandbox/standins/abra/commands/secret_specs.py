"""What secrets an app wants, what they are called, and random values for them."""

from __future__ import annotations

import re
import secrets as random
import string
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.standins.abra import log
from sandbox.standins.abra.files import compose
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.files.env_file import Env
from sandbox.standins.abra.log import Fatal

LONGEST_NAME = 64  # characters of a secret's name; Swarm's limit
VERSION_VARIABLE = re.compile(r"\$\{?(SECRET_\w+_VERSION)")
PASSPHRASE_WORDS = 5
CHARSETS = {
    "default": string.ascii_letters + string.digits,
    "special": "!@#$%^&*_-+=",
    "safespecial": "!@#%^&*_-+=",
}


@dataclass(frozen=True, slots=True)
class Spec:
    """One secret of an app.

    remote: its name in the Swarm. length: characters, None for a passphrase. charset: as written.
    generate: False when a person must insert it.
    """

    name: str
    version: str
    remote: str
    length: int | None
    charset: str
    generate: bool


def remote_name(stack: str, name: str, version: str) -> str:
    """Return a secret's name in the Swarm.

    Raises:
        Fatal: longer than Swarm allows.
    """
    full = f"{stack}_{name}_{version}"
    if len(full) > LONGEST_NAME:
        raise Fatal(f"secret {name} is > {LONGEST_NAME} chars when combined with {stack}: {full}")
    return full


def wanted(found: Compose, env: Env, values: Mapping[str, str], stack: str) -> list[Spec]:
    """Return the secrets that the enabled services use, in the order of the compose file.

    values: the whole compose environment, STACK_NAME included.

    Raises:
        Fatal: a secret without a version, or with too long a name.
    """
    used = compose.secret_keys(found.services.values())
    specs = []
    for key, body in found.section("secrets").items():
        if key not in used or not body.get("external"):
            continue
        raw = str(body.get("name") or key)
        full = compose.resolved(raw, values)
        if full.endswith("_") or "_" not in full:
            raise Fatal(f"missing version for secret? ({key})")
        if len(full) > LONGEST_NAME:
            raise Fatal(
                f"secret {key} is > {LONGEST_NAME} chars when combined with {stack}: {full}"
            )
        variable = VERSION_VARIABLE.search(raw)
        modifiers = env.modifiers.get(variable[1], {}) if variable else {}
        specs.append(_spec(key, full, stack, modifiers))
    return specs


def _spec(key: str, full: str, stack: str, modifiers: Mapping[str, str]) -> Spec:
    middle, _, version = full.removeprefix(f"{stack}_").rpartition("_")
    length = modifiers.get("length", "")
    return Spec(
        name=middle or key,
        version=version,
        remote=full,
        length=int(length) if length.isdigit() and int(length) > 0 else None,
        charset=modifiers.get("charset", "default"),
        generate=modifiers.get("generate", "true").lower() != "false",
    )


def letters(charset: str) -> str:
    """Return the characters of a charset such as `default,special`; unknown names say nothing."""
    named = [CHARSETS[name] for name in charset.split(",") if name in CHARSETS]
    return "".join(dict.fromkeys("".join(named) or CHARSETS["default"]))


def value(spec: Spec) -> str:
    """Return a new random value: so many characters, or a passphrase where no length is given."""
    if spec.length is None:
        return "-".join(_word() for _ in range(PASSPHRASE_WORDS))
    pool = letters(spec.charset)
    return "".join(random.choice(pool) for _ in range(spec.length))


def _word() -> str:
    return "".join(random.choice("bdfgklmnprstvz") + random.choice("aeiou") for _ in range(3))


def missing(specs: list[Spec], present: set[str]) -> list[str]:
    """Return abra's complaint for each secret that the server does not have."""
    return [
        f"secret {spec.remote} not {'generated' if spec.generate else 'inserted'}"
        for spec in specs
        if spec.remote not in present
    ]


def require(specs: list[Spec], present: set[str]) -> None:
    """Make sure that every secret exists.

    Raises:
        Fatal: names all that are missing.
    """
    complaints = missing(specs, present)
    for complaint in complaints[1:]:
        log.warn(complaint)
    if complaints:
        raise Fatal(complaints[0])
