"""The secrets that an app needs: which ones, their names and values."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest

from sandbox.standins.abra.files import env_file
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.recipe import secret_specs
from sandbox.standins.abra.recipe.secret_specs import SecretSpec

SPEC = SecretSpec("db_pass", "v1", "st_db_pass_v1", None, "default", True)


def specs(line: str, stack: str = "st") -> list[SecretSpec]:
    """Return the secrets of a recipe whose env file has only this line."""
    read = env_file.parse(line)
    tree = {
        "services": {"app": {"secrets": ["db_pass"]}},
        "secrets": {
            "db_pass": {
                "external": True,
                "name": "${STACK_NAME}_db_pass_${SECRET_DB_PASS_VERSION}",
            },
            "unused": {"external": True, "name": "${STACK_NAME}_unused_v1"},
        },
    }
    values = {**read.values, "STACK_NAME": stack}
    return secret_specs.of_app(Compose((), tree), read, values, stack)


def test_only_secrets_that_a_service_uses_are_needed() -> None:
    found = specs("SECRET_DB_PASS_VERSION=v2 # length=12")
    assert [(s.name, s.version, s.swarm_name, s.length) for s in found] == [
        ("db_pass", "v2", "st_db_pass_v2", 12)
    ]


def test_a_secret_without_version_is_fatal() -> None:
    """A PR that adds a secret fails as long as the env file lacks its line."""
    with pytest.raises(Fatal, match="missing version for secret"):
        specs("OTHER=1")


def test_a_name_over_64_characters_is_fatal() -> None:
    """Swarm's limit counts stack, name and version together."""
    with pytest.raises(Fatal, match="> 64 chars"):
        specs("SECRET_DB_PASS_VERSION=v1", stack="s" * 55)
    with pytest.raises(Fatal, match="> 64 chars"):
        secret_specs.swarm_name("s" * 60, "x", "v11")


def test_generate_false_is_kept() -> None:
    assert specs("SECRET_DB_PASS_VERSION=v1 # generate=false")[0].generate is False


def test_a_length_gives_that_many_letters_and_digits() -> None:
    value = secret_specs.random_value(replace(SPEC, length=43))
    assert len(value) == 43
    assert set(value) <= set(string.ascii_letters + string.digits)


def test_no_length_gives_a_passphrase() -> None:
    assert len(secret_specs.random_value(SPEC).split("-")) == secret_specs.PASSPHRASE_WORDS


def test_an_unknown_charset_is_the_default() -> None:
    """abra ignores a charset that it does not know."""
    assert secret_specs.characters("hex") == secret_specs.characters("default")


def test_charsets_add_up() -> None:
    assert (
        secret_specs.characters("default,special")
        == secret_specs.characters("default") + "!@#$%^&*_-+="
    )


def test_missing_secrets_are_not_generated_or_not_inserted() -> None:
    by_hand = replace(SPEC, swarm_name="st_key_v1", generate=False)
    assert secret_specs.missing([SPEC, by_hand, replace(SPEC, swarm_name="here")], {"here"}) == [
        "secret st_db_pass_v1 not generated",
        "secret st_key_v1 not inserted",
    ]
