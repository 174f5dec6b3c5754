"""A recipe made to be broken off: as small as can be, with one of everything that could be left behind.

Its commands can be held at a chosen call: `abra` and `git` are wrapped by a script that waits at a FIFO
where a test told it to. The harness knows nothing of that.
"""

from __future__ import annotations

import copy
import json
import os
import pty
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from harness import settings
from harness.host import orphans, wait
from harness.naming import app_domain, stack_name, unique
from harness.reporting import report, run_dir
from harness.runs import registry
from harness.settings import CHECKOUT
from harness.swarm import engine, remove

BOUND = 30.0  # seconds in which everything of a run is gone, from the moment somebody clears up
TIMEOUT = 240.0  # seconds for a whole run, on a machine that has other work
LIVES = ("fresh", "upgrade", "warm")

COMPOSE = """\
version: "3.8"

services:
  app:
    image: ccci/nginx:1.22.1
    networks:
      - proxy
    volumes:
      - content:/usr/share/nginx/html
    configs:
      - source: nginx_conf
        target: /etc/nginx/conf.d/default.conf
    secrets:
      - token
    deploy:
      restart_policy:
        condition: on-failure
        delay: 1s
      update_config:
        failure_action: rollback
        order: stop-first
        monitor: 1s
      labels:
        - "traefik.enable=true"
        - "traefik.docker.network=proxy"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=80"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "traefik.http.routers.${STACK_NAME}.tls.certresolver=${LETS_ENCRYPT_ENV}"
        - "coop-cloud.${STACK_NAME}.version=@VERSION@"
        - "coop-cloud.${STACK_NAME}.timeout=60"
        - "backupbot.backup=true"

networks:
  proxy:
    external: true

volumes:
  content:

configs:
  nginx_conf:
    name: ${STACK_NAME}_nginx_conf_${NGINX_CONF_VERSION}
    file: nginx.conf

secrets:
  token:
    external: true
    name: ${STACK_NAME}_token_${SECRET_TOKEN_VERSION}
"""
NGINX = """\
server {
    listen 80 default_server;
    root /usr/share/nginx/html;
    location = / { return 200 "@VERSION@"; }
}
"""
SAMPLE = """\
TYPE=RECIPE
DOMAIN=RECIPE.example.com
LETS_ENCRYPT_ENV=production
SECRET_TOKEN_VERSION=v1 # length=20
"""
README = """\
# RECIPE

<!-- metadata -->

* **Category**: Utilities
* **Status**: 0
* **Image**: [`nginx`](https://hub.docker.com/_/nginx), 4, upstream
* **Healthcheck**: No
* **Backups**: Yes
* **Email**: No
* **Tests**: No
* **SSO**: No

<!-- endmetadata -->
"""
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
# stage: (program, words, which call) that the run waits in there, and the stages that lead to it
STOPS: Mapping[str, tuple[str, str, int, str]] = {
    "fetch": ("git", "clone", 2, "install"),
    "deploy": ("abra", "app deploy", 1, "install"),
    "seed": ("seed", "", 1, "install"),
    "backup": ("abra", "app backup create", 1, "backup"),
    "restore": ("abra", "app restore", 1, "restore"),
    "upgrade": ("abra", "app deploy", 2, "upgrade"),
}
WHERE = {"deploy": "install", "seed": "install", "teardown": "cleanup"}  # what the report calls it


@dataclass
class Place:
    """A folder with tiny recipes, their suites, and the wrappers; settings of its own."""

    folder: Path
    heads: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = {"CCCI_LOCK_DIR": "lock", "CCCI_ACTIVE_DIR": "active", "CCCI_RUNS_DIR": "runs"}
        self.own |= {key: str(self.folder / name) for key, name in names.items()}
        self.own["CCCI_RECIPES_URL"] = str(self.folder / "recipes" / "{recipe}")
        self.own["CCCI_SUITES_DIR"] = str(self.suites)
        self.own["CCCI_ABRA"] = str(self.folder / "bin" / "abra")
        for name in ("lock", "active", "runs", "recipes", "suites", "bin", "hold"):
            (self.folder / name).mkdir()
        shutil.copy(CHECKOUT / "recipes_tests" / "test_lifecycle.py", self.suites)
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
        """The same for our own looking."""
        return settings.load({**os.environ, **self.own})

    def wrap(self, program: str, real: str, *, trap: str = "") -> None:
        """Make a program's wrapper. trap: a line of shell to run before it waits."""
        text = WRAPPER.replace("FOLDER", str(self.hold)).replace("PROGRAM", program)
        path = self.folder / "bin" / program
        path.write_text(text.replace("REAL", real).replace("TRAP", trap or ":"))
        path.chmod(0o755)

    def recipe(self, name: str) -> str:
        """Make a recipe with two versions and a head, and its suite; return the head's commit."""
        repository = self.folder / "recipes" / name
        repository.mkdir()
        git(repository, "init", "--quiet", "--initial-branch=main")
        for version in (*VERSIONS, HEAD):
            for path, text in self._files(name, version).items():
                (repository / path).write_text(text)
            git(repository, "add", "--all")
            git(repository, "commit", "--quiet", "--message", version)
            if version != HEAD:
                git(repository, "tag", "--annotate", version, "--message", version)
        suite = self.suites / name
        suite.mkdir()
        text = SUITE.replace("RECIPE", name).replace("FOLDER", str(self.hold))
        (suite / f"test_{name}.py").write_text(text)
        self.heads[name] = git(repository, "rev-parse", "HEAD").strip()
        return self.heads[name]

    def another(self, name: str) -> str:
        """Give a recipe's head a sibling and return its commit; the head stays where it is."""
        repository = self.folder / "recipes" / name
        git(repository, "checkout", "--quiet", "-b", "other", "HEAD")
        (repository / "README.md").write_text(README.replace("RECIPE", name) + "\nanother\n")
        git(repository, "commit", "--quiet", "--all", "--message", "another")
        other = git(repository, "rev-parse", "HEAD").strip()
        git(repository, "checkout", "--quiet", "main")
        return other

    @staticmethod
    def _files(name: str, version: str) -> dict[str, str]:
        number = version.partition("+")[0].replace(".", "")
        files = {
            "compose.yml": COMPOSE,
            "nginx.conf": NGINX,
            ".env.sample": SAMPLE,
            "README.md": README,
            "abra.sh": f"export NGINX_CONF_VERSION=v{number}\n",
        }
        return {
            path: text.replace("@VERSION@", version).replace("RECIPE", name)
            for path, text in files.items()
        }

    def stop_at(self, stage: str) -> str:
        """Let the next run wait at a stage; return the stages to ask for."""
        program, words, count, stages = STOPS[stage]
        for name in ("reached", "calls", "abra", "git", "seed"):
            (self.hold / name).unlink(missing_ok=True)
        (self.hold / program).write_text(f"{count} {words}\n" if words else "")
        return stages

    def go_on(self) -> None:
        """Let what comes next run through."""
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
        """Run `cc-ci janitor` and return what it said."""
        words = [sys.executable, "-c", "from harness.cli import main; main()", "janitor"]
        env = self.environment
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 0, done.stderr
        return done.stdout


def git(where: Path, *words: str) -> str:
    """Run git in a repository under a fixed name; return what it printed."""
    who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in WHO}
    env = {**os.environ, **who, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    words = ("git", "-C", str(where), *words)
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    return done.stdout


WHO = (("NAME", "Tiny"), ("EMAIL", "tiny@example.com"))


class Started:
    """A pytest process that tests tiny recipes, through a shell as Drone starts it if wanted."""

    def __init__(
        self,
        place: Place,
        *options: str,
        recipe: str = "tiny",
        ref: str = "",
        shell: bool = False,
        terminal: bool = False,
        piped: bool = False,
        code: Path = CHECKOUT,
        **env: str,
    ) -> None:
        self.place, self.recipe, self.shell = place, recipe, shell
        self.ref = ref or place.heads.get(recipe, "")
        self.session = env.get("DRONE_BUILD_NUMBER") or f"f{uuid.uuid4().hex[:8]}"
        self.dir = place.settings.runs_dir / self.session
        words = [sys.executable, "-m", "pytest", "-c", str(code / "pytest.ini")]
        words += ["--rootdir", str(code), "-p", "harness.plugin", str(place.suites)]
        words += [*(["--recipe", recipe, "--ref", self.ref] if recipe else []), *options]
        if shell:
            words = ["sh", "-c", f"{' '.join(words)}; :"]
        if terminal:
            words = ["setsid", "-c", *words]  # the terminal is then its own
        self.source, out = pty.openpty() if terminal else os.pipe() if piped else (-1, -1)
        self.log = place.folder / f"{self.session}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                words,
                cwd=code,
                env={**place.environment, "DRONE_BUILD_NUMBER": self.session, **env},
                stdin=out if terminal else subprocess.DEVNULL,
                stdout=log if out == -1 else out,
                stderr=subprocess.STDOUT,
                start_new_session=not terminal,
            )
        if out != -1:
            os.close(out)
            os.set_blocking(self.source, False)

    def _drain(self) -> None:
        """Take what stands in its terminal or pipe."""
        with suppress(OSError), self.log.open("ab") as log:
            while self.source != -1 and (data := os.read(self.source, 65536)):
                log.write(data)

    def press(self, keys: bytes) -> None:
        """Press keys at its terminal."""
        os.write(self.source, keys)

    def hang_up(self) -> None:
        """Close its terminal, or the pipe that its output goes to."""
        if self.source != -1:
            os.close(self.source)
        self.source = -1

    def until(self, look: object, what: str) -> None:
        """Wait until a function says yes; fail at once if the run ends before."""

        def seen() -> wait.Look[bool]:
            if look():  # type: ignore[operator]
                return wait.Look("", True)
            if self.process.poll() is not None:
                raise AssertionError(f"the run ended before {what}:\n{self.said}")
            return wait.Look("")

        wait.until(seen, what=what, timeout=TIMEOUT, every=0.02)

    def until_held(self) -> None:
        """Wait until the run waits where it was told to."""
        self.until((self.place.hold / "reached").exists, "it was held")

    def until_said(self, text: str) -> None:
        """Wait until the run has printed something."""
        self.until(lambda: text in self.said, f"'{text}'")

    @property
    def said(self) -> str:
        """What it printed so far."""
        self._drain()
        return self.log.read_text(errors="replace")

    def end(self) -> int:
        """Wait for its end and return its exit status."""

        def look() -> wait.Look[bool]:
            self._drain()
            return wait.Look("", None if self.process.poll() is None else True)

        wait.until(look, what="the run's end", timeout=TIMEOUT, every=0.02)
        return self.process.returncode

    def gone(self) -> None:
        """Wait until all processes of it ran to their end."""
        session = self.process.pid

        def look() -> wait.Look[bool]:
            self._drain()
            living = _in_session(session)
            return wait.Look("", None if living else True)

        wait.until(look, what="the processes to end", timeout=TIMEOUT, every=0.02)

    def harness(self) -> int:
        """Return the process that runs pytest: our child, or the shell's."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if self.shell else pid

    def worker(self) -> int:
        """Return the process of the worker that has the run."""
        return next(e.pid for e in registry.runs(self.place.settings) if self.session in e.run)

    def kill(self) -> None:
        """End it whatever it does, and wait for its death."""
        for pid in _in_session(self.process.pid):
            os.kill(pid, 9)
        self.process.wait()
        self.hang_up()

    def of(self, recipe: str) -> Started:
        """Return the run of one recipe in a session of several."""
        made = copy.copy(self)
        made.recipe, made.ref = recipe, self.place.heads[recipe]
        made.session = f"{self.session}-{recipe}"
        made.dir = self.dir.with_name(made.session)
        return made

    def report(self) -> report.Report:
        """Return the report of its run, after checking that its files can be read."""
        json.loads((self.dir / "report.json").read_text())
        ElementTree.parse(self.dir / "junit.xml")
        assert (self.dir / "summary.md").read_text().startswith("# ")
        return run_dir.read(self.dir)

    def left(self) -> list[str]:
        """Return everything that still exists of its run."""
        return list(left_of(self.place, self.session, self.recipe, self.ref))


def _in_session(session: int) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [p.pid for pid in pids if (p := orphans.look_at(pid)) and p.session == session]


def left_of(place: Place, run: str, recipe: str, ref: str) -> Iterator[str]:
    """Yield everything that still exists of a run."""
    found = place.settings
    for life in LIVES:
        token = unique(life, recipe, run, "0", ref)
        domain = app_domain(token, recipe, found.apps_domain)
        stack = stack_name(domain)
        yield from (f"{item.kind} {item.name}" for item in remove.leftovers(engine.client(), stack))
        yield from (f"folder {p}" for p in Path("/var/lib/docker/volumes").glob(f"{stack}_*"))
        yield from (f"{process}" for process in orphans.of(found.runs_dir / run, [domain]))
    yield from (f"entry {e.domain}" for e in registry.entries(found) if e.run == run)
    yield from (f"record {e.run}" for e in registry.runs(found) if e.run == run)
    folder = found.runs_dir / run / "abra"
    yield from [f"folder {folder}"] if folder.exists() else []
    yield from (f"file {path}" for path in (folder / "servers" / "default").glob("*.env"))
