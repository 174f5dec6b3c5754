"""The stand-in's lint rules, versions and command line."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.standins.abra import cli
from sandbox.standins.abra.command_line import Syntax, find, parse
from sandbox.standins.abra.commands import in_container, lint
from sandbox.standins.abra.commands.lint import Recipe
from sandbox.standins.abra.files import versions
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.log import Fatal

README = "<!-- metadata -->\n" + "\n".join(f"* **{key}**: x" for key in lint.METADATA)
GOOD: dict[str, Any] = {
    "version": "3.8",
    "services": {
        "app": {
            "image": "nginx:1.22.1",
            "healthcheck": {"test": "true"},
            "deploy": {"labels": ["traefik.enable=true"]},
        }
    },
    "configs": {"conf": {"name": "${STACK_NAME}_conf_${CONF_VERSION}"}},
    "secrets": {"short": {"external": True}},
}


def recipe(tree: dict[str, Any] | None = None, **other: Any) -> Recipe:
    """Return a recipe that breaks no rule, but for what is given."""
    fields: dict[str, Any] = {
        "found": Compose((), {**GOOD, **(tree or {})}),
        "sample": {"DOMAIN": "demo.example.com"},
        "exported": {"CONF_VERSION": "v1"},
        "readme": README + "\n<!-- endmetadata -->",
        "tags": {"1.0.0+1.22.1": True},
    }
    return Recipe(**{**fields, **other})


def broken(of: Recipe) -> list[str]:
    """Return the rules that do not hold."""
    return [r.rule.ref for r in lint.judge(of) if not r.satisfied and not r.skipped]


def test_a_good_recipe_breaks_no_rule() -> None:
    """Rules that need the network are skipped, all others hold."""
    assert broken(recipe()) == []
    assert [r.rule.ref for r in lint.judge(recipe()) if r.skipped] == ["R006", "R013"]


@pytest.mark.parametrize(
    ("ref", "of"),
    [
        ("R001", recipe({"version": "3.9"})),
        ("R002", recipe({"services": {**GOOD["services"], "b": {"image": "x:1"}}})),
        ("R007", recipe(readme="")),
        ("R009", recipe({"services": {"web": GOOD["services"]["app"]}})),
        ("R012", recipe(exported={})),
        ("R014", recipe(tags={"1.0.0+1.22.1": True, "1.1.0+1.22.1": False})),
        ("R015", recipe({"secrets": {"much_too_long_name": {}}})),
    ],
)
def test_each_rule_finds_its_own_break(ref: str, of: Recipe) -> None:
    """One thing wrong breaks exactly one rule."""
    assert broken(of) == [ref]


@pytest.mark.parametrize(
    ("image", "refs"),
    [
        ("nginx", ["R003", "R005"]),
        ("nginx:latest", ["R004", "R005"]),
        ("registry:5000/nginx:1.2-alpine", []),
        (None, ["R011"]),
    ],
)
def test_images_are_judged_by_their_tag(image: str | None, refs: list[str]) -> None:
    """No tag, an unstable tag and no image are different rules; a registry's port is no tag."""
    app = {**GOOD["services"]["app"], "image": image}
    assert broken(recipe({"services": {"app": app}})) == refs


def test_a_recipe_without_sample_breaks_r008_and_needs_no_route() -> None:
    """Without .env.sample there is no DOMAIN, so routing is skipped."""
    app = {**GOOD["services"]["app"], "deploy": {}}
    assert broken(recipe({"services": {"app": app}}, sample=None)) == ["R008"]


def test_the_table_fits_a_narrow_terminal() -> None:
    """A narrow terminal cuts the last column, never the verdict."""
    lines = lint.table(lint.judge(recipe()), 110)
    assert {len(line) for line in lines} == {110}
    assert any("R014" in line and "error" in line and "✅" in line for line in lines)


def test_versions_are_ordered_by_recipe_then_upstream() -> None:
    """Numbers are compared as numbers, and other tags are no versions."""
    tags = ["1.0.0+1.10", "0.9.0+3", "v2", "1.0.0+1.9", "0.10.0+1"]
    assert versions.sort(tags) == ["0.9.0+3", "0.10.0+1", "1.0.0+1.9", "1.0.0+1.10"]


def test_functions_of_abra_sh_are_found() -> None:
    """Both ways to write a shell function count, calls do not."""
    assert in_container.functions("a() {\n b\n}\nfunction c-d () {\n}\n# e() {\n") == ["a", "c-d"]


def test_one_letter_means_what_its_command_says() -> None:
    """-D is the domain for `new` and the DNS switch for `deploy`."""
    new = parse("app new", ["-n", "-D", "x.test", "demo"], cli.SYNTAX["app new"])
    deploy = parse("app deploy", ["-nD", "x.test"], cli.SYNTAX["app deploy"])
    assert new.flags["domain"] == "x.test"
    assert deploy.has("no-domain-checks") and deploy.names == ("x.test",)


def test_words_behind_two_dashes_are_not_read() -> None:
    """A command for a container keeps its own flags."""
    line = parse("app run", ["-n", "-t", "d", "app", "--", "ls", "-l"], cli.SYNTAX["app run"])
    assert (line.names, line.tail) == (("d", "app"), ("ls", "-l"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-x", "d"], "unknown shorthand flag: 'x'"),
        (["--prune", "d"], "unknown flag: --prune"),
        (["d", "-n"], "flags come first"),
        ([], "got 0 arguments"),
        (["d", "--", "x"], "nothing may follow"),
    ],
)
def test_a_wrong_command_line_is_fatal(words: list[str], says: str) -> None:
    """What the command does not take is refused with a sentence."""
    with pytest.raises(Fatal, match=says):
        parse("app undeploy", words, Syntax("", 1, 1))


def test_an_unknown_command_is_not_modelled() -> None:
    """Everything outside the table is refused; a leading global flag is no obstacle."""
    assert find(["-n", "app", "ls", "-m"], cli.SYNTAX) == ("app ls", ["-n", "-m"])
    with pytest.raises(Fatal, match="'app upgrade d' is not modelled"):
        find(["app", "upgrade", "d"], cli.SYNTAX)


def test_every_command_of_the_table_is_there() -> None:
    """The table of flags and the table of functions name the same commands."""
    assert set(cli.SYNTAX) == set(cli.COMMANDS)
