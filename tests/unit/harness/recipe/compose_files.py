"""Small compose files, written and loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from harness.recipe.compose import Compose

ENV = {"STACK_NAME": "c4f1a9-x_ci_test", "DOMAIN": "c4f1a9-x.ci.test"}


def load(folder: Path, main: str, env: Mapping[str, str] = ENV, **others: str) -> Compose:
    """Write and load compose files: the main one, and others named with `_` for `.`."""
    (folder / "compose.yml").write_text(dedent(main))
    for name, text in others.items():
        (folder / name.replace("_", ".")).write_text(dedent(text))
    return Compose.load(folder, env)


def service(folder: Path, body: str) -> Compose:
    """Write and load a compose file whose service `app` has this body, in flow style."""
    return load(folder, f"services: {{app: {body}}}\n")
