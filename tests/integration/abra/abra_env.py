"""The abra under test, with an ABRA_DIR of its own and a small recipe; cleans up in Docker."""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

from harness.host import proc, wait
from harness.host.proc import Completed
from tests.support import git_repo

STAND_IN = Path(__file__).resolve().parents[3] / "sandbox/standins/abra/abra"
RECIPE = "contract"
OLD, NEW = "0.1.0+1.22.1", "0.2.0+1.22.1"
COMMAND_TIMEOUT = 180.0  # seconds for one command
SETTLE_TIMEOUT = 60.0  # seconds for a small service to start or stop
NAMESPACE = "com.docker.stack.namespace"

COMPOSE = """\
version: "3.8"
services:
  app:
    image: {image}
    volumes: ["content:/data"]
    secrets: [pw, words, by_hand]
    configs: [{{source: conf, target: /conf.txt}}]
    healthcheck: {{test: ["CMD", "true"], interval: 1s}}
    deploy:
      labels:
        - "traefik.enable=true"
        - "backupbot.backup=true"
        - "coop-cloud.${{STACK_NAME}}.version={version}"
        - "coop-cloud.${{STACK_NAME}}.timeout=${{TIMEOUT:-60}}"
volumes:
  content:
configs:
  conf: {{name: "${{STACK_NAME}}_conf_${{CONF_VERSION}}", file: conf.txt}}
secrets:
  pw: {{external: true, name: "${{STACK_NAME}}_pw_${{SECRET_PW_VERSION}}"}}
  words: {{external: true, name: "${{STACK_NAME}}_words_${{SECRET_WORDS_VERSION}}"}}
  by_hand: {{external: true, name: "${{STACK_NAME}}_by_hand_${{SECRET_BY_HAND_VERSION}}"}}
"""
SECOND = """\
version: "3.8"
services:
  second: {{image: {image}, healthcheck: {{test: ["CMD", "true"], interval: 1s}}}}
"""
SAMPLE = """\
TYPE=contract
DOMAIN=contract.example.com
COMPOSE_FILE="compose.yml"
SECRET_PW_VERSION=v1 # length=20
SECRET_WORDS_VERSION=v1
SECRET_BY_HAND_VERSION=v1 # generate=false
"""
SCRIPT = """\
export CONF_VERSION=v7

greet() {
  echo "greet app=$APP_NAME stack=$STACK_NAME target=$TARGET given=$1"
}
fail() {
  return 3
}
shell() {
  echo "bash=${BASH_VERSION:+yes}"
}
"""


def image() -> str:
    """Return the image that the recipe uses."""
    return os.environ.get("CONTRACT_IMAGE", "ccci/nginx:1.22.1")


def _files(version: str) -> dict[str, str]:
    return {
        "compose.yml": COMPOSE.format(image=image(), version=version),
        "compose.second.yml": SECOND.format(image=image()),
        ".env.sample": SAMPLE,
        "abra.sh": SCRIPT,
        "conf.txt": "configured\n",
    }


@dataclass
class AbraEnv:
    """The abra under test and its ABRA_DIR.

    Attributes:
        root: folder for everything on disk.
        program: path of abra: CCCI_ABRA, else the stand-in.
        domains: domains of all apps, whose objects in Docker are removed at the end.
        api: the Docker client.
    """

    root: Path
    program: str = field(default_factory=lambda: os.environ.get("CCCI_ABRA", str(STAND_IN)))
    domains: list[str] = field(default_factory=list)
    api: Any = field(default_factory=docker.from_env)

    @property
    def origin(self) -> Path:
        """The repository that the checkout is cloned from."""
        return self.root / "origin"

    @property
    def checkout(self) -> Path:
        """The checkout of the recipe in ABRA_DIR."""
        return self.root / "abra/recipes" / RECIPE

    def build(self) -> AbraEnv:
        """Create the recipe with two published versions and a newer commit, and clone it into ABRA_DIR."""
        git_repo.init(self.origin)
        for version in (OLD, NEW):
            git_repo.commit(self.origin, _files(version), version, tag=version)
        git_repo.commit(self.origin, _files("0.3.0+1.22.1"), "head")
        self.checkout.parent.mkdir(parents=True)
        (self.root / "abra/servers/default").mkdir(parents=True)
        self.git("clone", "--quiet", str(self.origin), str(self.checkout), at=self.root)
        return self

    def git(self, *words: str, at: Path | None = None) -> str:
        """Run git in the checkout, or in another folder, and return its output."""
        return git_repo.git(at or self.checkout, *words)

    def head(self) -> str:
        """Return the full hash of the checkout's HEAD."""
        return self.git("rev-parse", "HEAD")

    def run(self, *words: str, exit_code: int | None = 0, terminal: bool = True) -> Completed:
        """Run abra and check its exit code.

        Args:
            words: the command line.
            exit_code: the expected exit code, None for any.
            terminal: give it a pseudo-terminal.
        """
        base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        kept = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER_", "CCCI_"))}
        own = {"ABRA_DIR": str(self.root / "abra"), "TERM": "dumb", "COLUMNS": "400", "LANG": "en"}
        env = {**base, **kept, **own, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        done = proc.run(
            [self.program, *words], timeout=COMMAND_TIMEOUT, env=env, terminal=terminal, check=False
        )
        if exit_code is not None:
            assert done.exit_code == exit_code, done.text
        return done

    def assert_refused(self, *words: str, message: str, terminal: bool = True) -> Completed:
        """Run abra and require exit code 1 and a FATA line that the pattern `message` matches."""
        done = self.run(*words, exit_code=1, terminal=terminal)
        assert re.search(rf"FATA.*{message}", done.text, re.IGNORECASE | re.DOTALL), done.text
        return done

    def create_app(self, *, deployable: bool = False) -> str:
        """Create an app with `app new -C`, and all its secrets if it is `deployable`."""
        domain = self.new_domain()
        self.run("app", "new", "-n", "-o", "-C", "-s", "default", "-D", domain, RECIPE)
        if deployable:
            self.create_secrets(domain)
        return domain

    def new_domain(self) -> str:
        """Return a new domain, whose stack is removed at the end."""
        domain = f"c{secrets.token_hex(4)}-contract.ci.test"
        self.domains.append(domain)
        return domain

    def create_secrets(self, domain: str) -> dict[str, str]:
        """Generate or insert all secrets and return the generated values by name."""
        made = parse_json(
            self.run("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
        )
        path = self.root / "by_hand"
        path.write_text("made by hand")
        words = ["app", "secret", "insert", "-n", "-o", "-C", "-f", domain, "by_hand", "v1"]
        self.run(*words, str(path))
        return {row["name"]: row["value"] for row in map(normalized, made)}

    def deploy(self, domain: str, *flags: str, exit_code: int | None = 0) -> Completed:
        """Deploy the checkout with `-C -D -c` and further flags."""
        return self.run(
            "app", "deploy", "-n", "-o", "-C", "-D", "-c", *flags, domain, exit_code=exit_code
        )

    def env_path(self, domain: str) -> Path:
        """Return the path of the app's env file."""
        return self.root / "abra/servers/default" / f"{domain}.env"

    def set_env(self, domain: str, key: str, value: str) -> None:
        """Set one value in the app's env file."""
        path = self.env_path(domain)
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{key}=")]
        path.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")

    def labels(self, domain: str) -> dict[str, str]:
        """Return abra's labels on the service `app`, without their prefix."""
        prefix = f"coop-cloud.{stack_name(domain)}."
        spec = self.api.services.get(f"{stack_name(domain)}_app").attrs["Spec"]
        found = spec["Labels"].items()
        return {k.removeprefix(prefix): v for k, v in found if k.startswith(prefix)}

    def services(self, domain: str) -> list[str]:
        """Return the names of the app's services, sorted."""
        found = self.api.services.list(filters={"label": f"{NAMESPACE}={stack_name(domain)}"})
        return sorted(service.name for service in found)

    def volumes(self, domain: str) -> list[str]:
        """Return the names of the app's volumes."""
        found = self.api.volumes.list(filters={"label": f"{NAMESPACE}={stack_name(domain)}"})
        return sorted(volume.name for volume in found)

    def secret_names(self, domain: str) -> list[str]:
        """Return the names of the app's secrets in the Swarm."""
        prefix = f"{stack_name(domain)}_"
        return sorted(s.name for s in self.api.secrets.list() if s.name.startswith(prefix))

    def wait_until_running(self, domain: str) -> None:
        """Wait until each service of the app has a running task."""

        def look() -> wait.Look[bool]:
            tasks = self.api.api.tasks(filters={"label": f"{NAMESPACE}={stack_name(domain)}"})
            up = {t["ServiceID"] for t in tasks if t["Status"]["State"] == "running"}
            seen = ", ".join(t["Status"]["State"] for t in tasks)
            return wait.Look(seen, True if len(up) == len(self.services(domain)) else None)

        wait.until(look, what=f"'{domain}' to run", timeout=SETTLE_TIMEOUT)

    def remove_all(self) -> None:
        """Remove everything that the apps left in Docker."""
        for domain in self.domains:
            self._remove(domain)

    def _remove(self, domain: str) -> None:
        labelled = {"label": f"{NAMESPACE}={stack_name(domain)}"}
        for service in self.api.services.list(filters=labelled):
            service.remove()

        def look() -> wait.Look[bool]:
            left = self.api.containers.list(all=True, filters=labelled, ignore_removed=True)
            for container in left:
                _quietly(container.remove, force=True)
            tasks = self.api.api.tasks(filters=labelled)
            return wait.Look(f"{len(left)} containers", None if left or tasks else True)

        wait.until(look, what=f"'{domain}' to go", timeout=SETTLE_TIMEOUT)
        for network in self.api.networks.list(filters=labelled):
            _quietly(network.remove)
        for config in self.api.configs.list(filters=labelled):
            _quietly(config.remove)
        for volume in self.api.volumes.list(filters=labelled):
            _quietly(volume.remove)
        for secret in self.api.secrets.list():
            if secret.name.startswith(f"{stack_name(domain)}_"):
                _quietly(secret.remove)


def _quietly(remove: Any, **how: Any) -> None:
    """Remove an object that may no longer exist."""
    try:
        remove(**how)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def stack_name(domain: str) -> str:
    """Return the stack of a domain that is not too long."""
    return domain.replace(".", "_")


def parse_json(done: Completed) -> Any:
    """Return the JSON in a command's output, which may have log lines around it."""
    for match in re.finditer(r"[\[{]", done.out):
        try:
            return json.JSONDecoder().raw_decode(done.out[match.start() :])[0]
        except json.JSONDecodeError:
            continue
    raise AssertionError(f"no JSON in: {done.text}")


def normalized(row: dict[str, Any]) -> dict[str, str]:
    """Return a row with lower-case keys and dashes; versions of abra spell keys differently."""
    return {re.sub(r"[ _]", "-", key).lower(): str(value) for key, value in row.items()}
