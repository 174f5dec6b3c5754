"""Variables in compose files are replaced like Docker does."""

from pathlib import Path

import pytest

from harness.recipe.compose import Compose
from tests.unit.harness.recipe.compose_files import ENV, service


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("$A", "one"),
        ("$A-b", "one-b"),
        ("$$A", "$A"),
        ("$${A}", "${A}"),
        ("${B}", ""),
        ("${B:-two}", "two"),
        ("${EMPTY:-two}", "two"),
        ("${EMPTY-two}", ""),
        ("${B-two}", "two"),
        ("${A:-two}", "one"),
        ("${A:+two}", "two"),
        ("${B:+two}", ""),
        ("${EMPTY:+two}", ""),
        ("${EMPTY+two}", "two"),
        ("${A:?must be set}", "one"),
        ("${B:-${A}}", "one"),
        ("${B:-${C:-three}}", "three"),
        ("${B:-}", ""),
        ("5$", "5$"),
    ],
)
def test_variables_are_replaced_like_docker_does(tmp_path: Path, text: str, value: str) -> None:
    """With a colon, an empty value counts as unset."""
    service(tmp_path, f"{{image: 'a:1', deploy: {{labels: ['x={text}']}}}}")
    env = {**ENV, "A": "one", "EMPTY": ""}
    found = Compose.load(tmp_path, env)
    assert found.services[0].labels["x"] == value


def test_keys_are_not_replaced(tmp_path: Path) -> None:
    """Docker does not do it, which is why recipes write such labels as a list."""
    found = service(tmp_path, "{image: a, deploy: {labels: {'x.${STACK_NAME}': 1}}}")
    assert list(found.services[0].labels) == ["x.${STACK_NAME}"]
