"""Tiny recipes made for one test, and runs of them whose memory and output are measured."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness import settings
from harness.host import lock
from harness.naming import app_domain, stack_name, unique
from harness.reporting import report, run_dir
from harness.settings import CHECKOUT
from harness.swarm import engine, remove

FOUND = settings.load(os.environ)
SAMPLE = "TYPE=NAME\nDOMAIN=NAME.example.com\nLETS_ENCRYPT_ENV=production\nTIMEOUT=60\n"
NGINX = """\
server {
    listen 80 default_server;
    location / { return 200 "fine"; }
    MORE
}
"""
LABELS = """
      labels:
        - "traefik.enable=true"
        - "traefik.docker.network=proxy"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=80"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "traefik.http.routers.${STACK_NAME}.tls=true"
        - "coop-cloud.${STACK_NAME}.version=VERSION"
"""
COMPOSE = """\
version: "3.8"
services:
  app:
    image: IMAGE
    command: COMMAND
    networks:
      - proxy
    configs:
      - source: nginx_conf
        target: /etc/nginx/conf.d/default.conf
APP
    deploy:
DEPLOY
LABELS
MORE
networks:
  proxy:
    external: true
configs:
  nginx_conf:
    name: ${STACK_NAME}_nginx_conf_v1
    file: nginx.conf
TOP
"""
SERVE = "exec nginx -g 'daemon off;'"


@dataclass
class Ended:
    """A run that has ended: pytest's status, its output, report, directory, and its peak of memory in MiB."""

    status: int
    out: str
    folder: Path
    peak: float

    @property
    def report(self) -> report.Report:
        """The report as it can be read from the run's directory now."""
        return run_dir.read(self.folder)

    @property
    def told(self) -> str:
        """Everything that the report says about what failed."""
        found = self.report
        return "\n".join([found.reason, *(f"{c.message}\n{c.details}" for c in found.failed)])


class Tiny:
    """A recipe called `tiny-…` with a suite, in a folder of its own; one commit, or a published one more."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, f"tiny-{name}"[:24]
        self.repository = folder / "recipes" / self.name
        self.suite = folder / "suites" / self.name
        for path in (self.repository, self.suite):
            path.mkdir(parents=True)
        (self.suite / "recipe.yml").write_text("health: {path: /}\n")
        lifecycle = CHECKOUT / "recipes_tests" / "test_lifecycle.py"
        (folder / "suites" / lifecycle.name).write_text(lifecycle.read_text())
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(
        self,
        shell: str = SERVE,
        *,
        image: str = "ccci/nginx:1.22.1",
        nginx: str = "",
        app: str = "",
        deploy: str = "",
        more: str = "",
        top: str = "",
        sample: str = "",
        version: str = "1.0.0+1",
        tag: bool = False,
    ) -> None:
        """Commit the recipe: what its shell does, and what stands in its compose file besides.

        nginx: further lines of the server. app, deploy: of the service. more: further services. top:
        further keys of the file. tag: publish it.
        """
        words = f'["sh", "-c", {yaml_text(shell)}]'
        parts = {
            "IMAGE": image,
            "COMMAND": words,
            "APP": app,
            "DEPLOY": deploy,
            "LABELS": LABELS.strip("\n"),
            "VERSION": version,
            "MORE": more,
            "TOP": top,
        }
        text = COMPOSE
        for key, value in parts.items():
            text = text.replace(key, value, 1)
        files = {
            "compose.yml": "\n".join(line for line in text.splitlines() if line.strip()) + "\n",
            ".env.sample": SAMPLE.replace("NAME", self.name) + sample,
            "nginx.conf": NGINX.replace("MORE", nginx),
        }
        for name, content in files.items():
            (self.repository / name).write_text(content)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", version)
        if tag:
            self._git("tag", "--annotate", version, "--message", "published")

    def write_suite(self, text: str, settings: str = "") -> None:
        """Write the suite's tests, and its settings."""
        (self.suite / f"test_{self.name.replace('-', '_')}.py").write_text(text)
        if settings:
            (self.suite / "recipe.yml").write_text(settings)

    def head(self) -> str:
        """Return the commit."""
        return self._git("rev-parse", "HEAD")

    def run(
        self, *options: str, env: Mapping[str, str] = os.environ, timeout: float = 240
    ) -> Ended:
        """Run it to its end; nothing with a name of the run may be left."""
        with self.started(*options, env=env) as (process, out):
            return self.wait(process, out, env, timeout)

    @contextmanager
    def started(
        self, *options: str, env: Mapping[str, str] = os.environ
    ) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
        """Start a run; it is killed with all of its group if the test ends before it does."""
        words = [sys.executable, "-m", "pytest", "-c", str(CHECKOUT / "pytest.ini")]
        words += ["--rootdir", str(CHECKOUT), "-p", "harness.plugin", "-p", "no:cacheprovider"]
        words += [str(self.folder / "suites"), "--recipe", self.name, "--ref", self.head()]
        own = {
            "CCCI_SUITES_DIR": str(self.folder / "suites"),
            "CCCI_RECIPES_URL": str(self.folder / "recipes" / "{recipe}"),
            "DRONE_BUILD_NUMBER": self.id,
        }
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(
                [*words, *options],
                cwd=CHECKOUT,
                env={**os.environ, **own, **env},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                yield process, out
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    @property
    def id(self) -> str:
        """The id of its run: one for each recipe of a test."""
        return f"{self.name}-{os.getpid()}-{abs(hash(str(self.folder))) % 10_000}"

    def wait(
        self,
        process: subprocess.Popen[bytes],
        out: IO[bytes],
        env: Mapping[str, str],
        timeout: float,
    ) -> Ended:
        """Wait for the end of a run, at most so many seconds, and say what it took."""
        signal.signal(signal.SIGALRM, lambda number, frame: process.kill())
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        runs = Path(env.get("CCCI_RUNS_DIR", str(FOUND.runs_dir)))
        text = out.read().decode(errors="replace")
        return Ended(process.returncode, text, runs / self.id, used.ru_maxrss / 1024)

    def stacks(self) -> tuple[str, ...]:
        """Return the names of the stacks that a run of it makes."""
        names = (
            unique(life, self.name, self.id, "0", self.head()) for life in ("fresh", "upgrade")
        )
        return tuple(stack_name(app_domain(n, self.name, FOUND.apps_domain)) for n in names)

    def left(self) -> tuple[str, ...]:
        """Return what still has a name of the run."""
        api = engine.client()
        left = (item for stack in self.stacks() for item in remove.leftovers(api, stack))
        return tuple(f"{item.kind} {item.name}" for item in left)

    def clean(self) -> None:
        """Remove what a run that went wrong left, and its directory and lock: nobody else has its name."""
        for stack in self.stacks():
            remove.remove_stack(engine.client(), stack)
        shutil.rmtree(FOUND.runs_dir / self.id, ignore_errors=True)
        lock.recipe_lock(FOUND, self.name).unlink(missing_ok=True)

    def _git(self, *words: str) -> str:
        parts = [
            f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        ]
        names = dict.fromkeys(parts, "t@example.com")
        done = subprocess.run(
            ["git", "-C", str(self.repository), *words],
            env={**os.environ, **names},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def yaml_text(text: str) -> str:
    """Return a text in YAML's single quotes, with compose's dollar signs doubled."""
    return "'" + text.replace("$", "$$").replace("'", "''") + "'"
