"""Checks of the test bed in addition to those of `cc-ci doctor`: Go, and the images that are built here."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from contract.finding import Finding
from sandbox.host import images
from sandbox.host.shell import SetupError, run
from sandbox.trials import product

PART_WIDTH = 12  # characters, as `cc-ci doctor` has it


def doctor() -> int:
    """Print what `cc-ci doctor` finds and two more checks; return 0 if all passed, else 1.

    Raises:
        ProductError: `cc-ci` cannot be started.
    """
    done = product.cc_ci("doctor")
    print(done.output, end="")
    passed = [
        _check("go", "install Go 1.25 or later", _go),
        _check("images", "make setup", _images),
    ]
    return 0 if done.exit_code == 0 and all(passed) else 1


def _check(part: str, fix: str, inspect: Callable[[], str]) -> bool:
    """Print one line in the form of `cc-ci doctor`; return True if the check passed."""
    try:
        finding = Finding(part, ok=True, seen=inspect())
    except SetupError as error:
        finding = Finding(part, ok=False, seen=str(error).splitlines()[0], fix=fix)
    print(finding.line(PART_WIDTH))
    return finding.ok


def _go() -> str:
    version = run(["go", "version"], timeout=20).split()[2]
    return (
        f"{version.removeprefix('go')} ({shutil.which('go')}), builds the proxy and the demo apps"
    )


def _images() -> str:
    filters = ["--filter", f"label={images.LABEL}", "--filter", "dangling=false"]
    form = ["--format", "{{.Repository}}:{{.Tag}}"]
    names = sorted(run(["docker", "images", *filters, *form]).split())
    if not names:
        raise SetupError("no image of the demo recipes is built")
    return ", ".join(names)
