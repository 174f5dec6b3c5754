"""Parsing abra's command lines."""

from __future__ import annotations

import pytest

from sandbox.standins.abra.cli import COMMANDS
from sandbox.standins.abra.command_line import Syntax, find_command, parse
from sandbox.standins.abra.log import Fatal


def test_a_letter_means_something_else_in_each_command() -> None:
    """-D is the domain for `new` and the DNS switch for `deploy`."""
    new = parse("app new", ["-n", "-D", "x.test", "demo"], COMMANDS["app new"].syntax)
    deploy = parse("app deploy", ["-nD", "x.test"], COMMANDS["app deploy"].syntax)
    assert new.flags["domain"] == "x.test"
    assert deploy.has("no-domain-checks") and deploy.args == ("x.test",)


def test_words_after_two_dashes_are_not_parsed() -> None:
    line = parse("app run", ["-n", "-t", "d", "app", "--", "ls", "-l"], COMMANDS["app run"].syntax)
    assert (line.args, line.tail) == (("d", "app"), ("ls", "-l"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-x", "d"], "unknown shorthand flag: 'x'"),
        (["--prune", "d"], "unknown flag: --prune"),
        (["d", "-n"], "put flags first"),
        ([], "got 0 arguments"),
        (["d", "--", "x"], "takes nothing after '--'"),
    ],
)
def test_a_wrong_command_line_is_fatal(words: list[str], message: str) -> None:
    with pytest.raises(Fatal, match=message):
        parse("app undeploy", words, Syntax("", 1, 1))


def test_an_unknown_command_is_refused() -> None:
    assert find_command(["-n", "app", "ls", "-m"], COMMANDS) == ("app ls", ["-n", "-m"])
    with pytest.raises(Fatal, match="does not support 'app upgrade d'"):
        find_command(["app", "upgrade", "d"], COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_function_of_every_command_exists(name: str) -> None:
    """The table names functions as text, so that only one command's module is imported."""
    assert callable(COMMANDS[name].load())
