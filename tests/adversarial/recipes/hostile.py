"""A recipe that a stranger wrote: its repository, and a run that goes as far as abra lets it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from harness import lifecycle, settings
from harness.errors import RecipeFailure
from harness.recipe import git
from harness.runs.recorder import Recorder
from harness.runs.run import Request, Run
from harness.suites.app import App
from harness.suites.collect import Suite
from harness.suites.suite_settings import SuiteSettings
from harness.swarm.abra import Abra

NAME = "shop"
DOMAIN, STACK = "a1b2c3-shop.ci.test", "a1b2c3-shop_ci_test"
SAMPLE = f"TYPE={NAME}\nDOMAIN={NAME}.example.com\n"
# Small as written, millions of values once its aliases are.
BOMB = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9))]
)  # fmt: skip
ABRA = """\
#!/bin/sh
# Writes down what it is asked for; makes env files as abra does; deploys nothing.
echo "$1 $2 $3" >> "$ABRA_DIR/asked"
case "$1 $2" in
  "--version "*) echo "abra version recorder" ;;
  "recipe lint") echo "no rule is broken" ;;
  "app new") cp "$ABRA_DIR/recipes/shop/.env.sample" "$ABRA_DIR/servers/default/$9.env" ;;
esac
"""
WHO = {
    f"GIT_{who}_{what}": "t@example.com"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def compose(service: str = "", **sections: object) -> str:
    """Return a compose file: a harmless service `app`, with more keys of it, and more sections."""
    body = {"image": "ccci/nginx:1.22.1", **(yaml.safe_load(service) or {})}
    return yaml.safe_dump({"version": "3.8", "services": {"app": body}, **sections})


def run_git(folder: Path, *words: str, stdin: bytes = b"") -> str:
    """Run git in a repository as its author."""
    argv = ["git", "-C", str(folder), *words]
    env = {**os.environ, **WHO}
    done = subprocess.run(argv, env=env, input=stdin, capture_output=True, check=True)
    return done.stdout.decode().strip()


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files besides a harmless sample and compose file."""
    for name, text in {".env.sample": SAMPLE, "compose.yml": compose(), **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))


@dataclass
class Recipe:
    """The repository of a recipe."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Recipe:
        """Make an empty one."""
        folder.mkdir(parents=True)
        run_git(folder, "init", "--quiet", "--initial-branch=main")
        return cls(folder)

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit files besides a harmless sample and compose file; return the commit."""
        write(self.folder, files)
        run_git(self.folder, "add", "--all")
        return self.committed()

    def committed(self) -> str:
        """Commit what is staged; return the commit."""
        run_git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "x")
        return run_git(self.folder, "rev-parse", "HEAD")


def run_of(folder: Path, recipe: Recipe, ref: str, **suite: object) -> tuple[Run, App]:
    """Return a run whose checkout is fetched, with an abra that only writes down, and its app."""
    run, app = _run(folder, suite)
    run.ref = ref
    git.fetch_checkout(str(recipe.folder), ref, run.checkout_dir)
    return run, app


def run_with(folder: Path, files: Mapping[str, str], **suite: object) -> tuple[Run, App]:
    """Return the same with a checkout that only has these files and no repository: git takes long."""
    run, app = _run(folder, suite)
    run.checkout = lambda ref: None  # type: ignore[method-assign]
    write(run.checkout_dir, files)
    return run, app


def _run(folder: Path, suite: Mapping[str, object]) -> tuple[Run, App]:
    found = replace(settings.load({"CCCI_SETTINGS": "/dev/null"}), runs_dir=folder / "runs")
    run = Run(
        settings=found,
        request=Request(),
        recipe=NAME,
        id="guard",
        suite=Suite(),
        suite_settings=SuiteSettings.model_validate(suite),
        stages=(),
        console=lambda line: None,
    )
    (run.abra_dir / "servers" / "default").mkdir(parents=True)
    run.recorder = Recorder(run.dir, recipe=NAME, lane="cold", console=run.console)
    program = folder / "abra"
    program.write_text(ABRA)
    program.chmod(0o755)
    run.abra = Abra(str(program), run.abra_dir)
    app = App(domain=DOMAIN, stack=STACK, recipe=NAME, life="fresh", settings=found)
    return run, app


def asked(run: Run) -> list[str]:
    """Return what abra was asked for: the command's first words."""
    path = run.abra_dir / "asked"
    return path.read_text().splitlines() if path.exists() else []


def tried(folder: Path, files: Mapping[str, str], **suite: object) -> Run:
    """Install a recipe with these files; return its run."""
    folder.mkdir(exist_ok=True)
    run, app = run_with(folder, files, **suite)
    lifecycle.install(run, app)
    return run


def refused(folder: Path, files: Mapping[str, str], **suite: object) -> str:
    """Install a recipe with these files; return why it was refused, before anything was deployed."""
    folder.mkdir(exist_ok=True)
    run, app = run_with(folder, files, **suite)
    with pytest.raises(RecipeFailure) as caught:
        lifecycle.install(run, app)
    assert not [line for line in asked(run) if not line.startswith(("app new", "--version"))]
    return str(caught.value)
