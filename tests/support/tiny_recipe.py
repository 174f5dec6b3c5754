"""The smallest recipe: nginx in one service, and what a test adds to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

from harness import settings
from harness.host import lock
from harness.naming import app_domain, app_token, stack_name
from harness.settings import Settings
from harness.swarm import engine, remove
from tests.support import git_repo
from tests.support.run_process import RunProcess, copy_suites

LIVES = ("fresh", "upgrade", "warm")
SERVE = "exec nginx -g 'daemon off;'"
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
      labels:
        - "traefik.enable=true"
        - "traefik.docker.network=proxy"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=80"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "traefik.http.routers.${STACK_NAME}.tls=true"
        - "coop-cloud.${STACK_NAME}.version=VERSION"
LABELS
MORE
networks:
  proxy:
    external: true
configs:
  nginx_conf:
    name: ${STACK_NAME}_nginx_conf_CONFIG
    file: nginx.conf
TOP
"""
NGINX = """\
server {
    listen 80 default_server;
    SITE
    MORE
}
"""
SAMPLE = "TYPE=NAME\nDOMAIN=NAME.example.com\nLETS_ENCRYPT_ENV=production\nTIMEOUT=60\n"
README = """\
# NAME

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


class Parts(TypedDict, total=False):
    """Additions to the recipe; see `TinyRecipe.commit`."""

    app: str
    deploy: str
    labels: str
    more: str
    top: str
    sample: str
    site: str


EVERYTHING: Parts = {
    "app": "    volumes:\n      - content:/usr/share/nginx/html\n    secrets:\n      - token",
    "deploy": """\
      restart_policy:
        condition: on-failure
        delay: 1s
      update_config:
        failure_action: rollback
        order: stop-first
        monitor: 1s""",
    "labels": """\
        - "coop-cloud.${STACK_NAME}.timeout=60"
        - "backupbot.backup=true\"""",
    "top": """\
volumes:
  content:
secrets:
  token:
    external: true
    name: ${STACK_NAME}_token_${SECRET_TOKEN_VERSION}""",
    "sample": "SECRET_TOKEN_VERSION=v1 # length=20\n",
    "site": 'root /usr/share/nginx/html; location = / { return 200 "VERSION"; }',
}  # one object of each kind that a run could leave behind


class TinyRecipe:
    """A recipe with a repository and a folder for its suite, in a temporary folder.

    Args:
        folder: the repository is created in `recipes/NAME` below it, the suite in `suites/NAME`.
        name: the recipe's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.suites = copy_suites(folder / "suites")
        self.suite = self.suites / name
        self.suite.mkdir()
        self.repository = git_repo.init(folder / "recipes" / name)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a run that tests it."""
        return {
            "CCCI_SUITES_DIR": str(self.suites),
            "CCCI_RECIPES_URL": str(self.folder / "recipes" / "{recipe}"),
        }

    def commit(
        self,
        shell: str = SERVE,
        *,
        image: str = "ccci/nginx:1.22.1",
        site: str = 'location / { return 200 "fine"; }',
        nginx: str = "",
        app: str = "",
        deploy: str = "",
        labels: str = "",
        more: str = "",
        top: str = "",
        sample: str = "",
        version: str = "1.0.0+1",
        tag: bool = False,
    ) -> str:
        """Commit a version and return its commit.

        Args:
            shell: what the service's shell runs.
            image: the service's image.
            site: what the server in nginx.conf serves.
            nginx: further lines of the server in nginx.conf.
            app: further keys of the service.
            deploy: further keys of its `deploy`.
            labels: further labels.
            more: further services.
            top: further keys of the compose file.
            sample: further lines of `.env.sample`.
            version: the version in the label; the config's name follows it.
            tag: publish it.
        """
        number = "v" + version.partition("+")[0].replace(".", "")
        parts = {
            "IMAGE": image,
            "COMMAND": f'["sh", "-c", {yaml_text(shell)}]',
            "APP": app,
            "DEPLOY": deploy,
            "VERSION": version,
            "LABELS": labels,
            "MORE": more,
            "CONFIG": number,
            "TOP": top,
        }
        site = site.replace("VERSION", version)
        files = {
            "compose.yml": compose_file(parts),
            ".env.sample": SAMPLE.replace("NAME", self.name) + sample,
            "nginx.conf": NGINX.replace("SITE", site).replace("MORE", nginx),
            "README.md": README.replace("NAME", self.name),
        }
        return git_repo.commit(self.repository, files, version, tag=version if tag else "")

    def write_suite(self, text: str, settings: str = "") -> None:
        """Write the suite's tests, and its `recipe.yml` if there is one."""
        (self.suite / f"test_{self.name.replace('-', '_')}.py").write_text(text)
        if settings:
            (self.suite / "recipe.yml").write_text(settings)

    @property
    def run_id(self) -> str:
        """The id of its runs, the same for all runs of one test."""
        return f"{self.name}-{os.getpid()}-{abs(hash(str(self.folder))) % 10_000}"

    def run(self, *options: str, env: Mapping[str, str] | None = None) -> RunProcess:
        """Run its head and return the finished run."""
        environment = {**self.env, "DRONE_BUILD_NUMBER": self.run_id, **(env or {})}
        return RunProcess(
            *options, suites=self.suites, recipe=self.name, ref=self.head(), env=environment
        ).finish()

    def leftovers(self) -> list[str]:
        """Return all Docker objects of its run that still exist."""
        return docker_leftovers(settings.load(os.environ), self.name, self.run_id, self.head())

    def stacks(self) -> list[str]:
        """Return the names of the stacks that its run creates."""
        found = settings.load(os.environ)
        return stacks(found, self.name, self.run_id, self.head())

    def clean(self) -> None:
        """Remove the stacks of a failed run, its directory and its lock file."""
        found = settings.load(os.environ)
        for stack in self.stacks():
            remove.remove_stack(engine.client(), stack)
        shutil.rmtree(found.runs_dir / self.run_id, ignore_errors=True)
        lock.recipe_lock(found, self.name).unlink(missing_ok=True)

    def head(self) -> str:
        """Return the commit of the default branch."""
        return git_repo.git(self.repository, "rev-parse", "main")


def compose_file(parts: Mapping[str, str]) -> str:
    """Return the compose file with its upper-case words replaced, without blank lines."""
    text = COMPOSE
    for word, part in parts.items():
        text = text.replace(word, part, 1)
    return "\n".join(line for line in text.splitlines() if line.strip()) + "\n"


def yaml_text(text: str) -> str:
    """Quote a text for YAML, with dollar signs doubled for compose."""
    return "'" + text.replace("$", "$$").replace("'", "''") + "'"


def domains(found: Settings, recipe: str, run: str, ref: str) -> Iterator[str]:
    """Yield the domain of each app that a run may have created."""
    for life in LIVES:
        yield app_domain(app_token(life, recipe, run, "0", ref), recipe, found.apps_domain)


def stacks(found: Settings, recipe: str, run: str, ref: str) -> list[str]:
    """Return the name of each stack that a run may have created."""
    return [stack_name(domain) for domain in domains(found, recipe, run, ref)]


def docker_leftovers(found: Settings, recipe: str, run: str, ref: str) -> list[str]:
    """Return all Docker objects of a run that still exist."""
    names = stacks(found, recipe, run, ref)
    left = (item for stack in names for item in remove.leftovers(engine.client(), stack))
    return [f"{item.kind} {item.name}" for item in left]
