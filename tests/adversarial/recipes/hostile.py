"""A recipe by an untrusted author: its repository, and a run of it with a fake abra."""

from __future__ import annotations

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
from tests.support import git_repo

NAME = "shop"
DOMAIN, STACK = "a1b2c3-shop.ci.test", "a1b2c3-shop_ci_test"
SAMPLE = f"TYPE={NAME}\nDOMAIN={NAME}.example.com\n"
# A small file that has millions of values when its aliases are expanded.
BOMB = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9))]
)  # fmt: skip
ABRA = """\
#!/bin/sh
# Records its calls, makes env files like abra does, deploys nothing.
echo "$1 $2 $3" >> "$ABRA_DIR/calls"
case "$1 $2" in
  "--version "*) echo "abra version recorder" ;;
  "recipe lint") echo "no rule is broken" ;;
  "app new") cp "$ABRA_DIR/recipes/shop/.env.sample" "$ABRA_DIR/servers/default/$9.env" ;;
esac
"""


def compose(service: str = "", **sections: object) -> str:
    """Return a compose file with a harmless service `app`.

    Args:
        service: more keys of the service, as YAML.
        sections: more sections of the file.
    """
    body = {"image": "ccci/nginx:1.22.1", **(yaml.safe_load(service) or {})}
    return yaml.safe_dump({"version": "3.8", "services": {"app": body}, **sections})


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files; a harmless sample and compose file are added if missing."""
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
        """Make an empty repository."""
        return cls(git_repo.init(folder))

    def commit(self, files: Mapping[str, str]) -> str:
        """Commit files, and a harmless sample and compose file if missing; return the commit."""
        write(self.folder, files)
        git_repo.git(self.folder, "add", "--all")
        return self.commit_index()

    def commit_index(self) -> str:
        """Commit what is staged; return the commit."""
        git_repo.git(self.folder, "commit", "--quiet", "--allow-empty", "--message", "x")
        return git_repo.git(self.folder, "rev-parse", "HEAD")


class RunWithoutRepository(Run):
    """A run whose checkout is only a folder of files, because git is slow."""

    def checkout(self, ref: str) -> None:
        """Change nothing."""


def run_at_commit(
    folder: Path, recipe: Recipe, ref: str, base: Base | None = None
) -> tuple[Run, App]:
    """Return a run of a commit, with a fake abra that only records its calls; and its app."""
    record, abra, app = _parts(folder, {})
    git.fetch_checkout(str(recipe.folder), ref, record.checkout_dir)
    return Run(record, abra, ref, base or Base()), app


def run_with_files(folder: Path, files: Mapping[str, str], **suite: object) -> tuple[Run, App]:
    """Return a run of some files, with a fake abra; and its app. `suite` are keys of recipe.yml."""
    record, abra, app = _parts(folder, suite)
    write(record.checkout_dir, files)
    return RunWithoutRepository(record, abra, ""), app


def _parts(folder: Path, suite: Mapping[str, object]) -> tuple[RunRecord, Abra, App]:
    found = replace(settings.load({"CCCI_SETTINGS": "/dev/null"}), runs_dir=folder / "runs")
    plan = RunPlan(NAME, suite_settings=SuiteSettings.model_validate(suite))
    record = RunRecord.begin(found, Request(), plan, "run-7", lambda line: None)
    (record.abra_dir / "servers" / "default").mkdir(parents=True)
    program = folder / "abra"
    program.write_text(ABRA)
    program.chmod(0o755)
    app = App(domain=DOMAIN, stack=STACK, recipe=NAME, life="fresh", settings=found)
    return record, Abra(str(program), record.abra_dir), app


def abra_calls(run: Run) -> list[str]:
    """Return the first three words of each call of abra."""
    path = run.record.abra_dir / "calls"
    return path.read_text().splitlines() if path.exists() else []


def install(folder: Path, files: Mapping[str, str], **suite: object) -> Run:
    """Install a recipe with these files; return its run."""
    folder.mkdir(exist_ok=True)
    run, app = run_with_files(folder, files, **suite)
    lifecycle.install(run, app)
    return run


def refusal(folder: Path, files: Mapping[str, str], **suite: object) -> str:
    """Return why a recipe with these files is refused; fail if anything was deployed."""
    folder.mkdir(exist_ok=True)
    run, app = run_with_files(folder, files, **suite)
    with pytest.raises(RecipeFailure) as caught:
        lifecycle.install(run, app)
    assert not [line for line in abra_calls(run) if not line.startswith(("app new", "--version"))]
    return str(caught.value)
