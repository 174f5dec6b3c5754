"""Shell scripts of the steps, and the commands of the clone step."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.standins.drone.pipeline.quote import quote


def step_script(commands: Sequence[str]) -> str:
    """Return a script for `/bin/sh -e` that prints each command before it runs it.

    Measured: the printed text is in double quotes with only its dollar signs escaped. So a command in
    backticks runs twice, the first time for the printing.
    """
    return "\nset -e\n" + "".join(f"\necho + {_printed(c)}\n{c}\n" for c in commands)


def clone_commands(url: str, branch: str, sha: str) -> list[str]:
    """Return the commands of the clone step: one branch with its whole history, without tags."""
    return [
        "git init",
        f"git remote add origin {url}",
        f"git fetch  origin +refs/heads/{branch}:",
        f"git checkout {sha} -b {branch}",
    ]


def _printed(command: str) -> str:
    return quote(command).replace("$", "\\$")
