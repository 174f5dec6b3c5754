"""Builds Gitea from its Go module: the program and its static files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sandbox.host import images, paths
from sandbox.host.shell import run, say

TAGS = "sqlite sqlite_unlock_notify"
STATIC = ("templates", "options", "public")


def program() -> Path:
    """Return Gitea's program, built once; that takes four minutes on two cores."""
    given = os.environ.get("GITEA_BIN")
    return Path(given) if given else images.gitea(TAGS)


def static() -> Path:
    """Return the folder of Gitea's static files, copied from its module once."""
    given = os.environ.get("GITEA_STATIC")
    if given:
        return Path(given)
    target = paths.CACHE / f"gitea-{paths.GITEA}" / "static"
    with images.building("gitea-static"):
        if not target.is_dir():
            _copy_static(target)
    return target


def _copy_static(target: Path) -> None:
    source = module()
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for name in STATIC:
        shutil.copytree(source / name, part / name)
    run(["chmod", "-R", "a+rX,u+w", part])
    part.replace(target)


def build() -> None:
    """Build Gitea ahead of time, with progress output (takes minutes)."""
    program()
    static()
    say(f"Gitea {paths.GITEA} is built")


def module() -> Path:
    """Return the folder of Gitea's module."""
    words = ["go", "list", "-m", "-f", "{{.Dir}}", "code.gitea.io/gitea"]
    return Path(run(words, cwd=images.TOOLS / "gitea").strip())
