"""The lint rules and the table of their results."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.standins.abra.commands import lint
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.recipe.lint_rules import METADATA, Recipe, judge

README = "<!-- metadata -->\n" + "\n".join(f"* **{key}**: x" for key in METADATA)
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
    """Return a recipe that breaks no rule, changed by the arguments."""
    fields: dict[str, Any] = {
        "merged": Compose((), {**GOOD, **(tree or {})}),
        "sample": {"DOMAIN": "demo.example.com"},
        "exported": {"CONF_VERSION": "v1"},
        "readme": README + "\n<!-- endmetadata -->",
        "tags": {"1.0.0+1.22.1": True},
    }
    return Recipe(**{**fields, **other})


def broken(of: Recipe) -> list[str]:
    """Return the rules that do not hold."""
    return [r.rule.ref for r in judge(of) if not r.satisfied and not r.skipped]


def test_a_good_recipe_breaks_no_rule() -> None:
    """Rules that need the network are skipped."""
    assert broken(recipe()) == []
    assert [r.rule.ref for r in judge(recipe()) if r.skipped] == ["R006", "R013"]


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
def test_one_mistake_breaks_one_rule(ref: str, of: Recipe) -> None:
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
    """The port of a registry is not a tag."""
    app = {**GOOD["services"]["app"], "image": image}
    assert broken(recipe({"services": {"app": app}})) == refs


def test_a_recipe_without_sample_breaks_r008_and_skips_r010() -> None:
    """Without .env.sample there is no DOMAIN, so routing is skipped."""
    app = {**GOOD["services"]["app"], "deploy": {}}
    assert broken(recipe({"services": {"app": app}}, sample=None)) == ["R008"]


def test_a_narrow_terminal_cuts_the_last_column_only() -> None:
    lines = lint.table(judge(recipe()), 110)
    assert {len(line) for line in lines} == {110}
    assert any("R014" in line and "error" in line and "✅" in line for line in lines)
