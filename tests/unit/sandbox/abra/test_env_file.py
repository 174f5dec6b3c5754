"""The stand-in's reading of env files and abra.sh, and the names that follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.standins.abra.files import abra_dir, env_file
from sandbox.standins.abra.log import Fatal


def test_a_later_value_may_refer_to_an_earlier_one() -> None:
    """COMPOSE_FILE grows line by line, as recipes write it."""
    text = 'COMPOSE_FILE="compose.yml"\nCOMPOSE_FILE="$COMPOSE_FILE:compose.db.yml"\n'
    assert env_file.parse(text).values["COMPOSE_FILE"] == "compose.yml:compose.db.yml"


def test_single_quotes_keep_a_dollar() -> None:
    """What stands in single quotes is taken as it is."""
    assert env_file.parse("A=1\nB='$A'\n").values["B"] == "$A"


def test_commented_lines_do_not_count() -> None:
    """A key that is commented out is not set."""
    assert env_file.parse("#A=1\n# B=2\nC=3\n").values == {"C": "3"}


def test_modifiers_are_read_from_the_comment_of_their_own_line() -> None:
    """Length, charset and generate=false belong to the secret in front of them."""
    read = env_file.parse(
        "SECRET_A_VERSION=v1 # length=43 charset=default,special\nSECRET_B_VERSION=v1\n"
    )
    assert read.modifiers["SECRET_A_VERSION"] == {"length": "43", "charset": "default,special"}
    assert read.modifiers["SECRET_B_VERSION"] == {}


def test_a_hash_inside_a_value_is_no_comment() -> None:
    """Only a blank in front makes a hash the start of a comment."""
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
    """Each form of a reference gives what a compose file would get."""
    assert env_file.interpolate(text, {"A": "one", "EMPTY": ""}) == expected


def test_a_demanded_value_that_is_missing_is_fatal() -> None:
    """`${X:?why}` stops the command and says why."""
    with pytest.raises(Fatal, match="required variable X is missing a value: why"):
        env_file.interpolate("${X:?why}", {})


def test_exports_are_read_and_functions_are_not_run() -> None:
    """Only the export lines of abra.sh reach the compose environment."""
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
def test_the_version_is_written_behind_the_recipes_name(before: str, after: str) -> None:
    """Only the TYPE or RECIPE line changes; an older version in it is replaced."""
    assert env_file.pin(before, "1.0.0+2") == after


def test_an_env_file_without_a_recipe_is_fatal() -> None:
    """A version has nowhere to go without a TYPE or RECIPE line."""
    with pytest.raises(Fatal, match="TYPE or RECIPE"):
        env_file.pin("DOMAIN=x\n", "1.0.0+2")


def test_recipe_and_version_are_told_apart() -> None:
    """The part behind the colon is the version, dirty mark included."""
    read = env_file.parse("TYPE=demo:0123abcd+U\n")
    assert (read.recipe, read.version) == ("demo", "0123abcd+U")


def test_a_long_domain_is_cut_to_45_characters() -> None:
    """The stack's name has underscores for dots and at most 45 characters."""
    domain = "a" * 40 + ".example.com"
    assert env_file.stack_name(domain, {}) == "a" * 40 + "_exam"


def test_stack_name_in_the_env_file_wins() -> None:
    """STACK_NAME overrides what follows from the domain."""
    assert env_file.stack_name("a.b", {"STACK_NAME": "own"}) == "own"


def test_a_data_directory_without_server_is_fatal(tmp_path: Path) -> None:
    """A fresh ABRA_DIR knows no server, which abra calls an empty directory."""
    data = abra_dir.Data.locate({"ABRA_DIR": str(tmp_path / "abra")})
    with pytest.raises(Fatal, match="directory is empty"):
        data.servers()


def test_the_home_directory_is_used_without_abra_dir(tmp_path: Path) -> None:
    """Without ABRA_DIR the data live in ~/.abra."""
    assert abra_dir.Data.locate({"HOME": str(tmp_path)}).root == tmp_path / ".abra"


def test_the_endpoint_mode_falls_back_to_the_settings_file(tmp_path: Path) -> None:
    """The environment decides, an empty value included; else the settings file does."""
    settings = tmp_path / "settings.env"
    settings.write_text("# sandbox\nCCCI_ENDPOINT_MODE=dnsrr\n")
    named = {"CCCI_SETTINGS": str(settings)}
    assert abra_dir.endpoint_mode(named) == "dnsrr"
    assert abra_dir.endpoint_mode({**named, "CCCI_ENDPOINT_MODE": ""}) == ""
