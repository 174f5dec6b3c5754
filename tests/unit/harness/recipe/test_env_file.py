"""Env files keep every line, and new lines of a recipe's sample are added to an app's env file."""

import stat
from pathlib import Path

import pytest

from harness.recipe.env_file import EnvFile, SecretSpec, missing_lines, secret_specs

SAMPLE = """\
TYPE=gitea
DOMAIN=gitea.example.com
#EXTRA_DOMAINS=', `www.gitea.example.com`'

# Mail
COMPOSE_FILE="compose.yml"
SECRET_DB_PASSWORD_VERSION=v1 # length=32
"""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("A=", ""),
        ("A=1 # why", "1"),
        ("A=1#2", "1#2"),
        ("A= # why", ""),
        ("A=# why", ""),
        ("A=a b  ", "a b"),
        ("  A=1", "1"),
        ('A="x # y" # why', "x # y"),
        ("A='x y'", "x y"),
        ('A="open', "open"),
        ("A=x=y", "x=y"),
        ("#A=1", None),
        ("# A=1", None),
        ("A", None),
        ("A = 1", None),
    ],
)
def test_a_value_has_no_quotes_and_no_comment(line: str, value: str | None) -> None:
    """A line that is commented out sets nothing."""
    assert EnvFile.parse(line).get("A") == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('B="$A:two"', "one:two"),
        ("B=${A}two", "onetwo"),
        ("B='$A'", "$A"),
        ("B=$C", "$C"),
        ("B=${C:-x}", "${C:-x}"),
        ("A=$A:two", None),
    ],
)
def test_a_later_value_may_refer_to_an_earlier_one(line: str, value: str | None) -> None:
    """As in COMPOSE_FILE; not in single quotes, and unknown names are kept."""
    assert EnvFile.parse(f"A=one\n{line}").get("B") == value


def test_a_line_may_extend_the_value_of_its_own_key() -> None:
    """Recipes enable optional parts in this way."""
    text = 'COMPOSE_FILE="compose.yml"\nCOMPOSE_FILE="$COMPOSE_FILE:compose.pg.yml"\n'
    assert EnvFile.parse(text).get("COMPOSE_FILE") == "compose.yml:compose.pg.yml"


def test_every_line_is_kept(tmp_path: Path) -> None:
    """Comments, blank lines, the order, and bytes that are not UTF-8."""
    path = tmp_path / "a.env"
    path.write_bytes(SAMPLE.encode() + b"NAME=caf\xe9\n")
    EnvFile.read(path).write(path)
    assert path.read_bytes() == SAMPLE.encode() + b"NAME=caf\xe9\n"


def test_a_written_file_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    """Even if an earlier attempt left a partial file that everybody could read."""
    path = tmp_path / "a.env"
    (tmp_path / ".a.env.part").write_text("old")
    (tmp_path / ".a.env.part").chmod(0o666)
    EnvFile.parse("A=1").write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["a.env"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\nB=2", "A=9\nB=2"),
        ("B=2", "B=2\nA=9"),
        ("#A=1\nB=2", "#A=1\nB=2\nA=9"),
        ("A=v1 # length=32", "A=9 # length=32"),
        ('A="x # y"  # why', "A=9  # why"),
        ('A="x # y"', "A=9"),
        ("A=1\nB=2\nA=3", "A=9\nB=2"),
        ('A="1"\nA="$A:2"', "A=9"),
    ],
)
def test_a_key_is_set_on_its_first_line_and_other_lines_of_it_are_removed(
    before: str, after: str
) -> None:
    env = EnvFile.parse(before)
    env.set("A", "9")
    assert env.lines == after.splitlines()
    assert env.get("A") == "9"


@pytest.mark.parametrize(
    ("line", "added"),
    [
        ("B=1", True),
        ("A=2", False),
        ('A="$A:2"', True),
        ("# a word", True),
        ("#A=2", False),
    ],
)
def test_a_line_is_added_unless_its_key_is_set(line: str, added: bool) -> None:
    """An operator's value stays; a line may extend it."""
    env = EnvFile.parse("A=1")
    env.append(line)
    assert env.lines == (["A=1", line] if added else ["A=1"])


def test_a_line_that_extends_a_value_is_added_once() -> None:
    """A second attempt must not enable a compose file twice."""
    env = EnvFile.parse("A=1")
    env.append("A=$A:2")
    env.append("A=$A:2")
    assert env.get("A") == "1:2"


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        pytest.param(SAMPLE, [], id="same"),
        pytest.param(SAMPLE + "LFS=true # why\n", ["LFS=true # why"], id="new-key"),
        pytest.param(SAMPLE + "#LFS=true\n", [], id="offered-only"),
        pytest.param(
            SAMPLE + "SECRET_JWT_VERSION=v1 # length=43\n",
            ["SECRET_JWT_VERSION=v1 # length=43"],
            id="new-secret",
        ),
        pytest.param(
            SAMPLE + "# SECRET_JWT_VERSION=v1 # length=43\n",
            ["SECRET_JWT_VERSION=v1 # length=43"],
            id="new-secret-commented-out",
        ),
        pytest.param(
            SAMPLE + 'COMPOSE_FILE="$COMPOSE_FILE:compose.lfs.yml"\n',
            ['COMPOSE_FILE="$COMPOSE_FILE:compose.lfs.yml"'],
            id="one-more-compose-file",
        ),
        pytest.param(SAMPLE.replace("=gitea\n", "=other\n"), [], id="changed-default"),
        pytest.param(
            SAMPLE.replace("#EXTRA", "EXTRA"),
            ["EXTRA_DOMAINS=', `www.gitea.example.com`'"],
            id="switched-on",
        ),
        pytest.param("", [], id="all-gone"),
    ],
)
def test_new_lines_of_the_sample_are_returned_whole(new: str, lines: list[str]) -> None:
    """With the modifiers after a secret's version (incident U9)."""
    assert missing_lines(SAMPLE, new) == lines


def test_a_secret_that_is_also_commented_out_is_returned_once() -> None:
    new = "#SECRET_A_VERSION=v1 # length=9\nSECRET_A_VERSION=v2 # length=43\n"
    assert missing_lines("", new) == ["SECRET_A_VERSION=v2 # length=43"]


@pytest.mark.parametrize(
    ("line", "spec"),
    [
        ("SECRET_DB_PASSWORD_VERSION=v1", SecretSpec("db_password", "v1", None, True, None)),
        ("SECRET_A_VERSION=v2 # length=43", SecretSpec("a", "v2", 43, True, None)),
        ('SECRET_A_VERSION="v1" # length=3', SecretSpec("a", "v1", 3, True, None)),
        ("SECRET_A_VERSION=v1 # generate=false", SecretSpec("a", "v1", None, False, None)),
        (
            "SECRET_A_VERSION=v1 # length=64 charset=default,special generate=true",
            SecretSpec("a", "v1", 64, True, "default,special"),
        ),
        ("SECRET_A_VERSION=v1 # length=many", SecretSpec("a", "v1", None, True, None)),
        pytest.param(
            "SECRET_A_VERSION=v1 # length=" + "9" * 5000,
            SecretSpec("a", "v1", None, True, None),
            id="monstrous",
        ),
    ],
)
def test_a_secret_is_read_with_its_modifiers(line: str, spec: SecretSpec) -> None:
    assert secret_specs(EnvFile.parse(line)) == [spec]


@pytest.mark.parametrize("line", ["#SECRET_A_VERSION=v1", "SECRET_A=x", "A_VERSION=v1", "SECRET_"])
def test_other_lines_declare_no_secret(line: str) -> None:
    assert secret_specs(EnvFile.parse(line)) == []


def test_the_last_declaration_of_a_secret_wins() -> None:
    env = EnvFile.parse("SECRET_A_VERSION=v1 # length=9\nSECRET_A_VERSION=v2")
    assert secret_specs(env) == [SecretSpec("a", "v2", None, True, None)]
