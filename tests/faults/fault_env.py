"""Settings of its own, tiny recipes, and wrappers that hold a run at a chosen call of `abra` or `git`.

The wrappers wait at a FIFO where a test asks for it. The harness knows nothing of them.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import settings
from harness.host import orphans
from harness.runs import registry
from tests.support import git_repo, tiny_recipe
from tests.support.run_process import CLI, TIMEOUT, RunProcess, copy_suites
from tests.support.tiny_recipe import EVERYTHING, README, TinyRecipe

CLEANUP_BOUND = 30.0  # seconds in which everything of a run is gone, from the start of a clean-up
VERSIONS = ("1.0.0+1.22.1", "1.1.0+1.22.1")
HEAD = "1.2.0+1.22.1"
SUITE = """\
\"\"\"RECIPE: what its owner puts there.\"\"\"

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
# Waits at a FIFO where a test told it to, then goes on as the real program.
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
# By stage: the program, the words and the number of the call to wait in, and the stages that lead to it.
STOPS: Mapping[str, tuple[str, str, int, str]] = {
    "fetch": ("git", "clone", 2, "install"),
    "deploy": ("abra", "app deploy", 1, "install"),
    "seed": ("seed", "", 1, "install"),
    "backup": ("abra", "app backup create", 1, "backup"),
    "restore": ("abra", "app restore", 1, "restore"),
    "upgrade": ("abra", "app deploy", 2, "upgrade"),
}
WHERE = {
    "deploy": "install",
    "seed": "install",
    "teardown": "cleanup",
}  # the report's name of the stage


@dataclass
class FaultEnv:
    """A folder with tiny recipes, their suites, and the wrappers; it has settings of its own."""

    folder: Path
    heads: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {"CCCI_LOCK_DIR": "lock", "CCCI_ACTIVE_DIR": "active", "CCCI_RUNS_DIR": "runs"}
        self.own |= {key: str(self.folder / name) for key, name in names.items()}
        self.own["CCCI_RECIPES_URL"] = str(self.folder / "recipes" / "{recipe}")
        self.own["CCCI_SUITES_DIR"] = str(self.suites)
        self.own["CCCI_ABRA"] = str(self.folder / "bin" / "abra")
        for name in ("lock", "active", "runs", "recipes", "bin", "hold"):
            (self.folder / name).mkdir()
        copy_suites(self.suites)
        os.mkfifo(self.hold / "fifo")
        self.wrap("abra", settings.load(os.environ).abra)
        self.wrap("git", str(shutil.which("git")))

    @property
    def suites(self) -> Path:
        """The folder of suites."""
        return self.folder / "suites"

    @property
    def hold(self) -> Path:
        """Where the wrappers look for what to wait at."""
        return self.folder / "hold"

    @property
    def environment(self) -> dict[str, str]:
        """What a run is started with."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DRONE", "CCCI_RUN"))}
        return {**kept, **self.own, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}

    @property
    def settings(self) -> settings.Settings:
        """The settings of its runs."""
        return settings.load({**os.environ, **self.own})

    def wrap(self, program: str, real: str, *, trap: str = "") -> None:
        """Make a program's wrapper.

        Args:
            program: the name that the harness calls.
            real: the program itself.
            trap: a line of shell to run before it waits.
        """
        text = WRAPPER.replace("FOLDER", str(self.hold)).replace("PROGRAM", program)
        path = self.folder / "bin" / program
        path.write_text(text.replace("REAL", real).replace("TRAP", trap or ":"))
        path.chmod(0o755)

    def recipe(self, name: str) -> str:
        """Make a recipe with two versions and a head, and its suite; return the head's commit."""
        made = TinyRecipe(self.folder, name)
        for version in (*VERSIONS, HEAD):
            self.heads[name] = made.commit(**EVERYTHING, version=version, tag=version != HEAD)
        made.write_suite(SUITE.replace("RECIPE", name).replace("FOLDER", str(self.hold)))
        return self.heads[name]

    def another(self, name: str) -> str:
        """Give a recipe's head a sibling and return its commit; the head stays where it is."""
        repository = self.folder / "recipes" / name
        git_repo.git(repository, "checkout", "--quiet", "-b", "other", "HEAD")
        text = README.replace("NAME", name) + "\nanother\n"
        other = git_repo.commit(repository, {"README.md": text}, "another")
        git_repo.git(repository, "checkout", "--quiet", "main")
        return other

    def stop_at(self, stage: str) -> str:
        """Let the next run wait at a stage; return the stages to ask for."""
        program, words, count, stages = STOPS[stage]
        self.go_on()
        (self.hold / program).write_text(f"{count} {words}\n" if words else "")
        return stages

    def go_on(self) -> None:
        """Let everything that comes next run through."""
        for name in ("reached", "calls", "abra", "git", "seed"):
            (self.hold / name).unlink(missing_ok=True)

    def release(self) -> None:
        """Let what waits at the FIFO go on, if anything does."""
        try:
            fd = os.open(self.hold / "fifo", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return
        os.write(fd, b"go\n")
        os.close(fd)

    def janitor(self) -> str:
        """Run `cc-ci janitor` and return what it printed."""
        env = self.environment
        done = subprocess.run(
            [*CLI, "janitor"], env=env, capture_output=True, text=True, timeout=TIMEOUT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class HeldRun(RunProcess):
    """A run of the tiny recipes of a `FaultEnv`, which can be held at a stage.

    Args:
        place: whose recipes and wrappers are used.
        options: further options of pytest.
        recipe: the only recipe to test; all of the folder if empty.
        ref: its commit; the head if empty.
        more: further arguments of `RunProcess`; upper-case names go into the environment.
    """

    def __init__(
        self, place: FaultEnv, *options: str, recipe: str = "tiny", ref: str = "", **more: object
    ) -> None:
        self.place = place
        env = {key: str(more.pop(key)) for key in list(more) if key.isupper()}
        super().__init__(
            *options,
            suites=place.suites,
            recipe=recipe,
            ref=ref or place.heads.get(recipe, ""),
            env={**place.environment, **env},
            **more,  # type: ignore[arg-type]
        )

    def until_held(self) -> None:
        """Wait until the run is held at the stage that `FaultEnv.stop_at` named."""
        self.until((self.place.hold / "reached").exists, "it was held")

    def worker(self) -> int:
        """Return the process of the worker that has the run."""
        return next(e.pid for e in registry.runs(self.place.settings) if self.id in e.run)

    def of(self, recipe: str) -> HeldRun:
        """Return the run of one recipe in a session of several."""
        made = copy.copy(self)
        made.recipe, made.ref = recipe, self.place.heads[recipe]
        made.id = f"{self.id}-{recipe}"
        made.dir = self.dir.with_name(made.id)
        return made

    def left(self) -> list[str]:
        """Return everything that still exists of the run."""
        return list(left_of(self.place, self.id, self.recipe, self.ref))


def left_of(place: FaultEnv, run: str, recipe: str, ref: str) -> Iterator[str]:
    """Yield everything that still exists of a run."""
    found = place.settings
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
