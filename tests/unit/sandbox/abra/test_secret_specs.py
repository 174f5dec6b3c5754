"""The stand-in's secrets: which ones, their names, their values."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest

from sandbox.standins.abra.commands import secret_specs
from sandbox.standins.abra.commands.secret_specs import Spec
from sandbox.standins.abra.files import env_file
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal

SPEC = Spec("db_pass", "v1", "st_db_pass_v1", None, "default", True)


def wanted(line: str, stack: str = "st") -> list[Spec]:
    """Return the secrets of a recipe with one, whose env file has this line."""
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
    return secret_specs.wanted(Compose((), tree), read, values, stack)


def test_only_secrets_of_enabled_services_are_wanted() -> None:
    """A secret that no service uses is left out; the others carry name and version."""
    found = wanted("SECRET_DB_PASS_VERSION=v2 # length=12")
    assert [(s.name, s.version, s.remote, s.length) for s in found] == [
        ("db_pass", "v2", "st_db_pass_v2", 12)
    ]


def test_a_secret_without_version_is_fatal() -> None:
    """The head's new secret fails as long as its env line is missing."""
    with pytest.raises(Fatal, match="missing version for secret"):
        wanted("OTHER=1")


def test_a_name_over_64_characters_is_fatal() -> None:
    """Swarm's limit counts stack, name and version together."""
    with pytest.raises(Fatal, match="> 64 chars"):
        wanted("SECRET_DB_PASS_VERSION=v1", stack="s" * 55)
    with pytest.raises(Fatal, match="> 64 chars"):
        secret_specs.remote_name("s" * 60, "x", "v11")


def test_generate_false_is_kept() -> None:
    """A secret marked so has to be inserted by a person."""
    assert wanted("SECRET_DB_PASS_VERSION=v1 # generate=false")[0].generate is False


def test_a_length_gives_that_many_letters_and_digits() -> None:
    """With `length=N` the value is N random characters of the default charset."""
    value = secret_specs.value(replace(SPEC, length=43))
    assert len(value) == 43
    assert set(value) <= set(string.ascii_letters + string.digits)


def test_no_length_gives_a_passphrase() -> None:
    """Without a length the value is words, not of a length anybody chose."""
    assert len(secret_specs.value(SPEC).split("-")) == secret_specs.PASSPHRASE_WORDS


def test_an_unknown_charset_is_the_default() -> None:
    """A charset that abra does not know does nothing and says nothing."""
    assert secret_specs.letters("hex") == secret_specs.letters("default")


def test_charsets_add_up() -> None:
    """A comma joins charsets."""
    assert (
        secret_specs.letters("default,special") == secret_specs.letters("default") + "!@#$%^&*_-+="
    )


def test_what_is_missing_is_called_by_how_it_is_made() -> None:
    """A secret for a person is "not inserted", another one "not generated"."""
    by_hand = replace(SPEC, remote="st_key_v1", generate=False)
    assert secret_specs.missing([SPEC, by_hand, replace(SPEC, remote="here")], {"here"}) == [
        "secret st_db_pass_v1 not generated",
        "secret st_key_v1 not inserted",
    ]
