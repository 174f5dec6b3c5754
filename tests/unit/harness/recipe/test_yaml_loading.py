"""Files that are not valid compose files are refused with file and line, and aliases cannot fill memory."""

from pathlib import Path

import pytest

from harness.errors import RecipeFailure
from harness.recipe.compose import Compose
from tests.unit.harness.recipe.compose_files import ENV, load


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("services:\n  app: [\n", r"'compose.yml' of the recipe, line 3: invalid YAML"),
        (
            "a: b: c\n",
            r"'compose.yml' of the recipe, line 1: invalid YAML: mapping values",
        ),
        (
            "a: !!python/object:os.system x\n",
            "of the recipe, line 1: .*could not determine a constr",
        ),
        ("a: 2026-99-99\n", "invalid YAML: month must be in"),
        ("a: \x07\n", "invalid YAML"),
        pytest.param("[" * 5000, "invalid YAML: too deeply nested", id="deep"),
        ("- a\n", "it has no keys"),
        ("", "it has no keys"),
        ("version: '3.8'\n", "'compose.yml' of the recipe has no services"),
        ("services: [app]\n", "'compose.yml': services must be a map of 'key: value' lines"),
        (
            "services: {app: text}\n",
            "services.app must be a map of 'key: value' lines, but is 'text'",
        ),
        ("services: {app: {volumes: {a: /b}}}\n", "services.app.volumes must be a list"),
        ("services: {app: {volumes: [[a]]}}\n", "services.app.volumes has .* which is not a mount"),
        ("services: {app: {deploy: [a]}}\n", "services.app.deploy must be"),
        ("services: {app: {healthcheck: 5s}}\n", "services.app.healthcheck must be"),
        ("services: {app: {image: a}}\nsecrets: [a]\n", "'compose.yml': secrets must be"),
    ],
)
def test_an_invalid_compose_file_is_refused_with_file_and_line_or_key(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "compose.yml").write_text(text)
    with pytest.raises(RecipeFailure, match=problem):
        Compose.load(tmp_path, ENV)


def bomb(levels: int, form: str) -> str:
    """Return a document in which each level is nine times larger than the one before."""
    lines = [form.format(here="a0", inner="1, 2") if "[" in form else "a0: &a0 {x: 1}"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(form.format(here=f"a{level}", inner=inner))
    return "\n".join(lines) + "\nservices: {app: {image: a}}\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(bomb(9, "{here}: &{here} [{inner}]"), id="lists"),
        pytest.param(bomb(9, "{here}: &{here} {{<<: [{inner}]}}"), id="merged-maps"),
        pytest.param("a: &a [*a]\nservices: {app: {image: a}}\n", id="within-itself"),
        pytest.param("a: &a '" + "x$$" * 9000 + "'\nb: [" + "*a," * 9000 + "]\n", id="long-text"),
    ],
)
def test_aliases_cannot_make_a_small_file_large(tmp_path: Path, text: str) -> None:
    """It is refused before the aliases are expanded, so it takes neither time nor memory."""
    (tmp_path / "compose.yml").write_text(text)
    with pytest.raises(RecipeFailure, match="expands to more than 4 MiB through YAML aliases"):
        Compose.load(tmp_path, ENV)


def test_ordinary_anchors_are_allowed(tmp_path: Path) -> None:
    """Recipes use them to share settings between services."""
    text = "x: &x {image: a:1}\nservices: {app: {<<: *x}, cron: {<<: *x, image: b:2}}\n"
    assert load(tmp_path, text).images == ("a:1", "b:2")


def test_a_file_over_1_mib_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeFailure, match=r"'compose.yml' of the recipe is larger than 1 MiB"):
        load(tmp_path, "#" * (1024 * 1024 + 1))


@pytest.mark.parametrize("name", ["compose.gone.yml", ""])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """COMPOSE_FILE may name a file that this version does not have."""
    env = {**ENV, "COMPOSE_FILE": f"compose.yml:{name}"}
    with pytest.raises(RecipeFailure, match=f"cannot read '{name}' of the recipe"):
        load(tmp_path, "services: {app: {image: a}}\n", env)


@pytest.mark.parametrize("name", ["/etc/passwd", "../other/compose.yml"])
def test_a_file_outside_of_the_recipe_is_refused(tmp_path: Path, name: str) -> None:
    """COMPOSE_FILE comes from the recipe, which is untrusted."""
    with pytest.raises(RecipeFailure, match="which is outside of the recipe"):
        load(tmp_path, "services: {app: {image: a}}\n", {"COMPOSE_FILE": name})
