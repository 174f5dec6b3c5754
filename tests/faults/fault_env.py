"""An environment for runs that are held at a chosen call of `abra` or `git`.

It has its own settings, tiny recipes, and wrappers of both programs, which wait at a FIFO where a test asks
for it. The harness does not know of them.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

from harness import settings
from harness.host import orphans
from harness.runs import registry
from tests.support import git_repo, tiny_recipe
from tests.support.run_process import CLI, TIMEOUT, RunProcess, copy_suites
from tests.support.tiny_recipe import EVERYTHING, README, TinyRecipe

CLEANUP_BOUND = 30.0  # seconds from the start of a cleanup until nothing of the run exists
VERSIONS = ("1.0.0+1.22.1", "1.1.0+1.22.1")
HEAD = "1.2.0+1.22.1"
SUITE = """\
\"\"\"RECIPE: a file in its volume.\"\"\"

from pathlib import Path

from harness import App, check, seed, wreck

HOLD = Path("FOLDER")


@seed
def fill(app: App) -> None:
    if (HOLD / "seed").exists():
        (HOLD / "reached").touch()
        (HOLD / "fifo").read_text()
    app.write("app", "/usr/share/nginx/html/ci.txt", "by hand")


@check
def it_is_there(app: App) -> None:
    assert app.get("/ci.txt").text == "by hand"


@wreck
def lose_it(app: App) -> None:
    app.exec("app", "rm", "/usr/share/nginx/html/ci.txt")
"""
WRAPPER = """\
#!/bin/sh
# Waits at a FIFO if a test asked for it, then replaces itself by the real program.
hold=FOLDER
if [ -f "$hold/PROGRAM" ]; then
  read -r count pattern < "$hold/PROGRAM"
  case " $* " in
  *" $pattern "*)
    echo x >>"$hold/calls"
    if [ "$(grep -c x "$hold/calls")" = "$count" ]; then
      TRAP
      echo "$$" >"$hold/reached.part" && mv "$hold/reached.part" "$hold/reached"
      read -r _ <"$hold/fifo"
    fi
    ;;
  esac
fi
exec REAL "$@"
"""


class HoldPoint(NamedTuple):
    """A call in which a run is held, and how to get there.

    Attributes:
        program: "abra" or "git", whose wrapper waits, or "seed", the suite's function.
        words: arguments of the call.
        call_number: which call with these arguments waits, from 1.
        stages: the stages to run.
    """

    program: str
    words: str
    call_number: int
    stages: str


HOLD_POINTS: Mapping[str, HoldPoint] = {
    "fetch": HoldPoint("git", "clone", 2, "install"),
    "deploy": HoldPoint("abra", "app deploy", 1, "install"),
    "seed": HoldPoint("seed", "", 1, "install"),
    "backup": HoldPoint("abra", "app backup create", 1, "backup"),
    "restore": HoldPoint("abra", "app restore", 1, "restore"),
    "upgrade": HoldPoint("abra", "app deploy", 2, "upgrade"),
}


class ProcessOptions(TypedDict, total=False):
    """Arguments of `RunProcess` that a held run passes on."""

    env: Mapping[str, str]
    shell: bool
    terminal: bool
    piped: bool
    code: Path


@dataclass
class FaultEnv:
    """A folder with tiny recipes, their suites and the wrappers; its runs have their own settings.

    Attributes:
        folder: everything is below it.
        heads: the commit of each recipe's head, by recipe.
        overrides: settings of its runs that differ from those of this machine.
    """

    folder: Path
    heads: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folders = {"CCCI_LOCK_DIR": "lock", "CCCI_ACTIVE_DIR": "active", "CCCI_RUNS_DIR": "runs"}
        self.overrides |= {key: str(self.folder / name) for key, name in folders.items()}
        self.overrides["CCCI_RECIPES_URL"] = str(self.folder / "recipes" / "{recipe}")
        self.overrides["CCCI_SUITES_DIR"] = str(self.suites)
        self.overrides["CCCI_ABRA"] = str(self.folder / "bin" / "abra")
        for name in ("lock", "active", "runs", "recipes", "bin", "hold"):
            (self.folder / name).mkdir()
        copy_suites(self.suites)
        os.mkfifo(self.hold_dir / "fifo")
        self.wrap("abra", settings.load(os.environ).abra)
        self.wrap("git", str(shutil.which("git")))

    @property
    def suites(self) -> Path:
        """The folder of suites."""
        return self.folder / "suites"

    @property
    def hold_dir(self) -> Path:
        """The folder with the FIFO and the files that say where to wait."""
        return self.folder / "hold"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its runs."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRONE", "CCCI_RUN"))}
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**kept, **self.overrides, "PATH": path}

    @property
    def settings(self) -> settings.Settings:
        """The settings of its runs."""
        return settings.load({**os.environ, **self.overrides})

    # -- recipes

    def add_recipe(self, name: str) -> str:
        """Add a recipe with two versions and a head, and its suite; return the head's commit."""
        recipe = TinyRecipe(self.folder, name)
        for version in (*VERSIONS, HEAD):
            self.heads[name] = recipe.commit(**EVERYTHING, version=version, tag=version != HEAD)
        recipe.write_suite(SUITE.replace("RECIPE", name).replace("FOLDER", str(self.hold_dir)))
        return self.heads[name]

    def commit_on_branch(self, name: str) -> str:
        """Commit on another branch of a recipe and return the commit; the head does not change."""
        repository = self.folder / "recipes" / name
        git_repo.git(repository, "checkout", "--quiet", "-b", "other", "HEAD")
        text = README.replace("NAME", name) + "\nanother\n"
        other = git_repo.commit(repository, {"README.md": text}, "another")
        git_repo.git(repository, "checkout", "--quiet", "main")
        return other

    # -- holding a run

    def wrap(self, program: str, real: str, *, trap: str = "") -> None:
        """Write a program's wrapper.

        Args:
            program: the name that the harness calls.
            real: the program itself.
            trap: a shell command to run before it waits.
        """
        text = WRAPPER.replace("FOLDER", str(self.hold_dir)).replace("PROGRAM", program)
        path = self.folder / "bin" / program
        path.write_text(text.replace("REAL", real).replace("TRAP", trap or ":"))
        path.chmod(0o755)

    def hold_at(self, stage: str) -> str:
        """Hold the next run at a stage; return the stages to run."""
        point = HOLD_POINTS[stage]
        self.hold_nothing()
        call = f"{point.call_number} {point.words}\n" if point.words else ""
        (self.hold_dir / point.program).write_text(call)
        return point.stages

    def hold_nothing(self) -> None:
        """Let all later calls through; one that waits already goes on waiting."""
        for name in ("reached", "calls", "abra", "git", "seed"):
            (self.hold_dir / name).unlink(missing_ok=True)

    def release(self) -> None:
        """Let the call that waits at the FIFO continue, if there is one."""
        try:
            fd = os.open(self.hold_dir / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        os.write(fd, b"go\n")
        os.close(fd)

    def held_pid(self) -> int:
        """Return the pid of the wrapper that waits."""
        return int((self.hold_dir / "reached").read_text())

    # -- cleaning up

    def run_janitor(self, *prefix: str) -> str:
        """Run `cc-ci janitor` and return its output.

        Args:
            prefix: a command that runs it, with its arguments.
        """
        done = subprocess.run(
            [*prefix, *CLI, "janitor"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class HeldRun(RunProcess):
    """A run of a tiny recipe of a `FaultEnv`, which can be held at a stage.

    Args:
        fault_env: has the recipes and the wrappers.
        options: further options of pytest.
        recipe: the only recipe to test; all of the folder if empty.
        ref: its commit; the head if empty.
        process: further arguments of `RunProcess`.
    """

    def __init__(
        self,
        fault_env: FaultEnv,
        *options: str,
        recipe: str = "tiny",
        ref: str = "",
        **process: Unpack[ProcessOptions],
    ) -> None:
        self.fault_env = fault_env
        process["env"] = {**fault_env.environment, **process.get("env", {})}
        ref = ref or fault_env.heads.get(recipe, "")
        super().__init__(*options, suites=fault_env.suites, recipe=recipe, ref=ref, **process)

    def until_held(self) -> None:
        """Wait until the run is held at the stage that `FaultEnv.hold_at` named."""
        self.until((self.fault_env.hold_dir / "reached").exists, "it was held")

    def worker_pid(self) -> int:
        """Return the pid of the xdist worker that executes the run."""
        return next(e.pid for e in registry.runs(self.fault_env.settings) if self.id in e.run)

    def run_of(self, recipe: str) -> HeldRun:
        """Return the run of one recipe in a session of several."""
        run = copy.copy(self)
        run.recipe, run.ref = recipe, self.fault_env.heads[recipe]
        run.id = f"{self.id}-{recipe}"
        run.dir = self.dir.with_name(run.id)
        return run

    def leftovers(self) -> list[str]:
        """Return everything that still exists of the run."""
        return list(_leftovers(self.fault_env.settings, self.id, self.recipe, self.ref))


def _leftovers(found: settings.Settings, run: str, recipe: str, ref: str) -> Iterator[str]:
    yield from tiny_recipe.docker_leftovers(found, recipe, run, ref)
    for stack in tiny_recipe.stacks(found, recipe, run, ref):
        yield from (f"folder {p}" for p in Path("/var/lib/docker/volumes").glob(f"{stack}_*"))
    domains = list(tiny_recipe.domains(found, recipe, run, ref))
    yield from (f"{process}" for process in orphans.find(found.runs_dir / run, domains))
    yield from (f"entry {e.domain}" for e in registry.entries(found) if e.run == run)
    yield from (f"record {e.run}" for e in registry.runs(found) if e.run == run)
    folder = found.runs_dir / run / "abra"
    yield from [f"folder {folder}"] if folder.exists() else []
    yield from (f"file {path}" for path in (folder / "servers" / "default").glob("*.env"))
