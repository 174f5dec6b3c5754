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
from harness.runs.record import Request, RunPlan, RunRecord
from harness.runs.run import Base, Run
from harness.suites.app import App
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


class RunWithoutRepository(Run):
    """A run whose checkout is a folder of files."""

    def checkout(self, ref: str) -> None:
        """Change nothing."""


def run_of(folder: Path, recipe: Recipe, ref: str, base: Base | None = None) -> tuple[Run, App]:
    """Return a run whose checkout is fetched, with an abra that only records calls, and its app."""
    record, abra, app = _parts(folder, {})
    git.fetch_checkout(str(recipe.folder), ref, record.checkout_dir)
    return Run(record, abra, ref, base or Base()), app


def run_with(folder: Path, files: Mapping[str, str], **suite: object) -> tuple[Run, App]:
    """Return the same with a checkout that only has these files and no repository: git takes long."""
    record, abra, app = _parts(folder, suite)
    write(record.checkout_dir, files)
    return RunWithoutRepository(record, abra, ""), app


def _parts(folder: Path, suite: Mapping[str, object]) -> tuple[RunRecord, Abra, App]:
    found = replace(settings.load({"CCCI_SETTINGS": "/dev/null"}), runs_dir=folder / "runs")
    plan = RunPlan(NAME, suite_settings=SuiteSettings.model_validate(suite))
    record = RunRecord.begin(found, Request(), plan, "guard", lambda line: None)
    (record.abra_dir / "servers" / "default").mkdir(parents=True)
    program = folder / "abra"
    program.write_text(ABRA)
    program.chmod(0o755)
    app = App(domain=DOMAIN, stack=STACK, recipe=NAME, life="fresh", settings=found)
    return record, Abra(str(program), record.abra_dir), app


def asked(run: Run) -> list[str]:
    """Return what abra was asked for: the command's first words."""
    path = run.record.abra_dir / "asked"
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
