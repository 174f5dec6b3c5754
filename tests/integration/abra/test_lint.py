"""What the harness relies on in `recipe lint`."""

from __future__ import annotations

import re

import pytest

from tests.integration.abra.abra_env import RECIPE, World

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def rows(text: str) -> dict[str, list[str]]:
    """Return the table's cells by rule: rule, severity, satisfied, skipped, resolve."""
    cut = [[cell.strip() for cell in re.split("[│┃|]", line)] for line in text.splitlines()]
    return {row[1]: row[2:7] for row in cut if len(row) > 6 and re.fullmatch(r"R\d+", row[1])}


def test_the_table_has_a_severity_and_a_mark(world: World) -> None:
    """Every rule has a row; what holds has a tick, what does not a cross."""
    found = rows(world.abra("recipe", "lint", "-n", "-C", RECIPE).text)
    assert {row[1] for row in found.values()} == {"warn", "error"}
    assert "✅" in found["R009"][2]
    assert "❌" in found["R007"][2]


def test_a_broken_error_rule_still_exits_0(world: World) -> None:
    """The exit status is no verdict; the row's cross and a closing warning are."""
    world.git("tag", "0.0.9+1.22.1")
    done = world.abra("recipe", "lint", "-n", "-C", RECIPE)
    found = rows(done.text)["R014"]
    assert (found[1], "❌" in found[2]) == ("error", True)
    assert re.search(r"WARN.*critical", done.text)


def test_overlays_are_linted_too(world: World) -> None:
    """Every compose file that is there counts, enabled or not."""
    (world.checkout / "compose.ci.yml").write_text('version: "3.8"\nservices: {extra: {}}\n')
    assert "❌" in rows(world.abra("recipe", "lint", "-n", "-C", RECIPE).text)["R011"][2]


def test_tags_are_fetched_from_origin(world: World) -> None:
    """A tag that is new at the origin is judged; a dead origin is fatal even in chaos."""
    world.git("tag", "0.0.9+1.22.1", at=world.origin)
    assert "❌" in rows(world.abra("recipe", "lint", "-n", "-C", RECIPE).text)["R014"][2]
    world.git("remote", "set-url", "origin", str(world.root / "gone"))
    world.refused("recipe", "lint", "-n", "-C", RECIPE, saying="")


def test_an_invalid_recipe_is_fatal(world: World) -> None:
    """A compose file that cannot be read as one ends the lint."""
    (world.checkout / "compose.yml").write_text("services: [\n")
    world.refused("recipe", "lint", "-n", "-C", RECIPE, saying="unable to validate recipe")


def test_lint_in_chaos_leaves_the_checkout_alone(world: World) -> None:
    """`-C` lints what is checked out."""
    before = world.head()
    world.abra("recipe", "lint", "-n", "-C", RECIPE)
    assert world.head() == before
