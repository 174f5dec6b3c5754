"""The script that a step's commands become."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.standins.drone.pipeline.quote import quote


def script(commands: Sequence[str]) -> str:
    """Return the text for `/bin/sh -e`, each command after a line that shows it.

    Measured: the shown line is in double quotes and only its dollar signs are made harmless, so a
    command in backticks runs twice, once for showing it.
    """
    return "\nset -e\n" + "".join(f"\necho + {_shown(c)}\n{c}\n" for c in commands)


def clone(url: str, branch: str, sha: str) -> list[str]:
    """Return the commands of the clone step: one branch, its whole history, no tags."""
    return [
        "git init",
        f"git remote add origin {url}",
        f"git fetch  origin +refs/heads/{branch}:",
        f"git checkout {sha} -b {branch}",
    ]


def _shown(command: str) -> str:
    return quote(command).replace("$", "\\$")
