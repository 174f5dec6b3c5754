"""Makes git repositories from the folders of `sandbox/recipes`, as a forge has them.

Each version becomes a commit with an annotated tag, the head a commit on branch `pr`. Dates and names are
fixed, so the same folders give the same commits. A broken variant is a demo recipe with some files replaced,
in its base or its head.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from sandbox.host import paths
from sandbox.host.shell import run, say

SOURCES = paths.CHECKOUT / "sandbox" / "recipes"
BROKEN = SOURCES / "broken"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Demo",
    "GIT_AUTHOR_EMAIL": "demo@example.com",
    "GIT_COMMITTER_NAME": "Demo",
    "GIT_COMMITTER_EMAIL": "demo@example.com",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
FIRST_COMMIT = 1_760_000_000  # unix seconds; each later commit is one day younger
DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Plan:
    """One repository to make.

    Attributes:
        name: of the repository.
        trees: in order: tag, or "" for the head, and the folders whose files it has; later folders win.
        made_of: the demo recipe of a broken variant.
    """

    name: str
    trees: tuple[tuple[str, tuple[Path, ...]], ...]
    made_of: str = ""


def demo_recipes() -> list[str]:
    """Return the names of the demo recipes."""
    return sorted(p.name for p in SOURCES.iterdir() if p.is_dir() and p != BROKEN)


def variants() -> list[str]:
    """Return the names of the broken variants."""
    return sorted(p.name for p in BROKEN.iterdir() if (p / "variant.yml").is_file())


def make_repositories() -> None:
    """Make the repositories whose sources have changed."""
    plans = [_demo(name) for name in demo_recipes()] + [_broken(name) for name in variants()]
    for plan in plans:
        _make(plan)


def _versions(recipe: str) -> list[Path]:
    return sorted((SOURCES / recipe / "versions").iterdir())


def _demo(recipe: str) -> Plan:
    trees = [(path.name, (path,)) for path in _versions(recipe)]
    return Plan(recipe, (*trees, ("", (SOURCES / recipe / "head",))))


def _broken(variant: str) -> Plan:
    folder = BROKEN / variant
    recipe = yaml.safe_load((folder / "variant.yml").read_text())["of"]
    newest = _versions(recipe)[-1]
    base = (newest.name, (newest, folder / "base"))
    return Plan(
        f"broken-{variant}", (base, ("", (SOURCES / recipe / "head", folder / "head"))), recipe
    )


def _make(plan: Plan) -> None:
    """Make one repository in a temporary folder, then rename that, so that it is complete or missing."""
    target = paths.RECIPES / plan.name
    stamp = paths.RECIPES / f"{plan.name}.content"
    content = _digest(plan)
    if target.is_dir() and stamp.exists() and stamp.read_text() == content:
        return
    say(f"creating the repository of {plan.name}")
    part = paths.RECIPES / f".{plan.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _git(part, 0, "init", "--quiet", "--initial-branch=main")
    for number, (tag, layers) in enumerate(plan.trees):
        if not tag:
            _git(part, number, "checkout", "--quiet", "-b", "pr")
        _commit(part, number, layers, tag or "a change", plan)
        if tag:
            _git(part, number, "tag", "--annotate", tag, "--message", f"version {tag}")
    head = _git(part, 0, "rev-parse", "HEAD").strip()
    _git(part, 0, "checkout", "--quiet", "main")
    stamp.unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)
    (paths.RECIPES / f"{plan.name}.head").write_text(head + "\n")
    stamp.write_text(content)


def _commit(part: Path, number: int, layers: tuple[Path, ...], message: str, plan: Plan) -> None:
    for path in part.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for layer in layers:
        if layer.is_dir():
            # New times: git takes a file of the same size and time for unchanged.
            shutil.copytree(layer, part, dirs_exist_ok=True, copy_function=shutil.copy)
    sample = part / ".env.sample"
    if plan.made_of:  # a variant has its own name in its env file too
        sample.write_text(sample.read_text().replace(plan.made_of, plan.name))
    _git(part, number, "add", "--all")
    _git(part, number, "commit", "--quiet", "--allow-empty", "--message", message)


def _digest(plan: Plan) -> str:
    found = hashlib.sha256(f"3 {plan.name}".encode())
    for tag, layers in plan.trees:
        found.update(f"\0{tag}\0".encode())
        for path in sorted(p for layer in layers for p in layer.rglob("*") if p.is_file()):
            found.update(
                f"{path.name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes()
            )
    return found.hexdigest()


def _git(part: Path, number: int, *words: str) -> str:
    date = f"{FIRST_COMMIT + number * DAY} +0000"
    env = {**os.environ, **IDENTITY, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    return run(["git", "-C", part, *words], env=env)
