"""Parsing env files and abra.sh, variable references, and names of stacks."""

from __future__ import annotations

import pytest

from sandbox.standins.abra.files import env_file
from sandbox.standins.abra.log import Fatal


def test_a_later_value_may_refer_to_an_earlier_one() -> None:
    """COMPOSE_FILE grows line by line, as recipes write it."""
    text = 'COMPOSE_FILE="compose.yml"\nCOMPOSE_FILE="$COMPOSE_FILE:compose.db.yml"\n'
    assert env_file.parse(text).values["COMPOSE_FILE"] == "compose.yml:compose.db.yml"


def test_variables_in_single_quotes_are_not_replaced() -> None:
    assert env_file.parse("A=1\nB='$A'\n").values["B"] == "$A"


def test_a_commented_key_is_not_set() -> None:
    assert env_file.parse("#A=1\n# B=2\nC=3\n").values == {"C": "3"}


def test_modifiers_are_read_from_the_comment_of_their_own_line() -> None:
    read = env_file.parse(
        "SECRET_A_VERSION=v1 # length=43 charset=default,special\nSECRET_B_VERSION=v1\n"
    )
    assert read.modifiers["SECRET_A_VERSION"] == {"length": "43", "charset": "default,special"}
    assert read.modifiers["SECRET_B_VERSION"] == {}


def test_a_hash_inside_a_value_is_not_a_comment() -> None:
    assert env_file.parse("A=x#y\n").values["A"] == "x#y"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "one"),
        ("$A", "one"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${NONE-other}", "other"),
        ("${A:+set}", "set"),
        ("$$A", "$A"),
        ("${NONE}", ""),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, expected: str) -> None:
    assert env_file.interpolate(text, {"A": "one", "EMPTY": ""}) == expected


def test_a_required_variable_that_is_missing_is_fatal() -> None:
    with pytest.raises(Fatal, match="required variable X is missing a value: why"):
        env_file.interpolate("${X:?why}", {})


def test_exports_of_abra_sh_are_read_without_running_it() -> None:
    script = 'export CONF_VERSION=v3\nexport B_VERSION="v2"\nLOCAL=1\nf() {\n  exit 1\n}\n'
    assert env_file.exports(script) == {"CONF_VERSION": "v3", "B_VERSION": "v2"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TYPE=demo\nA=1\n", "TYPE=demo:1.0.0+2\nA=1\n"),
        ("RECIPE=demo:0.1.0+1 # note\n", "RECIPE=demo:1.0.0+2 # note\n"),
        ('TYPE="demo"\n', 'TYPE="demo:1.0.0+2"\n'),
    ],
)
def test_the_version_is_written_after_the_recipes_name(before: str, after: str) -> None:
    assert env_file.pin(before, "1.0.0+2") == after


def test_pinning_needs_a_type_or_recipe_line() -> None:
    with pytest.raises(Fatal, match="TYPE or RECIPE"):
        env_file.pin("DOMAIN=x\n", "1.0.0+2")


def test_recipe_and_version_are_separated_by_a_colon() -> None:
    read = env_file.parse("TYPE=demo:0123abcd+U\n")
    assert (read.recipe, read.version) == ("demo", "0123abcd+U")


def test_a_long_domain_is_cut_to_45_characters() -> None:
    domain = "a" * 40 + ".example.com"
    assert env_file.stack_name(domain, {}) == "a" * 40 + "_exam"


def test_stack_name_in_the_env_file_wins() -> None:
    assert env_file.stack_name("a.b", {"STACK_NAME": "own"}) == "own"
