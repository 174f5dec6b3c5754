"""What the harness relies on in `recipe lint`."""

from __future__ import annotations

import re

import pytest

from tests.integration.abra.abra_env import RECIPE, AbraEnv

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def rows(text: str) -> dict[str, list[str]]:
    """Return the table's cells by rule: rule, severity, satisfied, skipped, resolve."""
    cut = [[cell.strip() for cell in re.split("[│┃|]", line)] for line in text.splitlines()]
    return {row[1]: row[2:7] for row in cut if len(row) > 6 and re.fullmatch(r"R\d+", row[1])}


def test_the_table_has_severity_and_mark_of_every_rule(env: AbraEnv) -> None:
    found = rows(env.run("recipe", "lint", "-n", "-C", RECIPE).text)
    assert {row[1] for row in found.values()} == {"warn", "error"}
    assert "✅" in found["R009"][2]
    assert "❌" in found["R007"][2]


def test_a_broken_error_rule_still_exits_with_0(env: AbraEnv) -> None:
    """The harness reads the verdict from the table, not from the exit code."""
    env.git("tag", "0.0.9+1.22.1")
    done = env.run("recipe", "lint", "-n", "-C", RECIPE)
    found = rows(done.text)["R014"]
    assert (found[1], "❌" in found[2]) == ("error", True)
    assert re.search(r"WARN.*critical", done.text)


def test_overlays_are_linted_even_if_not_enabled(env: AbraEnv) -> None:
    (env.checkout / "compose.ci.yml").write_text('version: "3.8"\nservices: {extra: {}}\n')
    assert "❌" in rows(env.run("recipe", "lint", "-n", "-C", RECIPE).text)["R011"][2]


def test_tags_are_fetched_from_origin_even_in_chaos(env: AbraEnv) -> None:
    """An origin that does not answer is fatal."""
    env.git("tag", "0.0.9+1.22.1", at=env.origin)
    assert "❌" in rows(env.run("recipe", "lint", "-n", "-C", RECIPE).text)["R014"][2]
    env.git("remote", "set-url", "origin", str(env.root / "gone"))
    env.assert_refused("recipe", "lint", "-n", "-C", RECIPE, message="")


def test_an_invalid_recipe_is_fatal(env: AbraEnv) -> None:
    (env.checkout / "compose.yml").write_text("services: [\n")
    env.assert_refused("recipe", "lint", "-n", "-C", RECIPE, message="unable to validate recipe")


def test_lint_in_chaos_leaves_the_checkout_alone(env: AbraEnv) -> None:
    before = env.head()
    env.run("recipe", "lint", "-n", "-C", RECIPE)
    assert env.head() == before
