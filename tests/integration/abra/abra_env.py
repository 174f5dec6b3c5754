"""A small recipe, an abra data directory, and the abra under test, for the contract tests."""

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

STAND_IN = Path(__file__).resolve().parents[3] / "sandbox/standins/abra/abra"
RECIPE = "contract"
OLD, NEW = "0.1.0+1.22.1", "0.2.0+1.22.1"
LIMIT = 180.0  # seconds for one command
SETTLE = 60.0  # seconds for one small service to come or go
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
    """Return the image that the recipe runs."""
    return os.environ.get("CONTRACT_IMAGE", "ccci/nginx:1.22.1")


@dataclass
class World:
    """The abra under test with a data directory of its own, and what it may have left in Docker."""

    root: Path
    program: str = field(default_factory=lambda: os.environ.get("CCCI_ABRA", str(STAND_IN)))
    domains: list[str] = field(default_factory=list)
    api: Any = field(default_factory=docker.from_env)

    @property
    def origin(self) -> Path:
        """The repository that the checkout was cloned from."""
        return self.root / "origin"

    @property
    def checkout(self) -> Path:
        """The recipe's work tree below ABRA_DIR."""
        return self.root / "abra/recipes" / RECIPE

    def build(self) -> World:
        """Make the recipe with two published versions and a head, and clone it into ABRA_DIR."""
        self.origin.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main", at=self.origin)
        for version in (OLD, NEW):
            self._write(version)
            self.git("add", "-A", at=self.origin)
            self.git("commit", "--quiet", "-m", version, at=self.origin)
            self.git("tag", "-a", "-m", version, version, at=self.origin)
        self._write("0.3.0+1.22.1")
        self.git("commit", "--quiet", "-a", "-m", "head", at=self.origin)
        self.checkout.parent.mkdir(parents=True)
        (self.root / "abra/servers/default").mkdir(parents=True)
        self.git("clone", "--quiet", str(self.origin), str(self.checkout), at=self.root)
        return self

    def _write(self, version: str) -> None:
        files = {
            "compose.yml": COMPOSE.format(image=image(), version=version),
            "compose.second.yml": SECOND.format(image=image()),
            ".env.sample": SAMPLE,
            "abra.sh": SCRIPT,
            "conf.txt": "configured\n",
        }
        for name, text in files.items():
            (self.origin / name).write_text(text)

    def git(self, *words: str, at: Path | None = None) -> str:
        """Run git in the checkout, or at another place, and return what it printed."""
        who = ["-c", "user.name=contract", "-c", "user.email=contract@ci.test"]
        argv = ["git", "-C", str(at or self.checkout), *who, *words]
        return proc.run(argv, timeout=LIMIT).out.strip()

    def head(self) -> str:
        """Return the full hash of the checkout's HEAD."""
        return self.git("rev-parse", "HEAD")

    def abra(self, *words: str, status: int | None = 0, terminal: bool = True) -> Completed:
        """Run abra under a terminal and check its exit status (None for any)."""
        base = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        kept = {k: v for k, v in os.environ.items() if k.startswith(("DOCKER_", "CCCI_"))}
        own = {"ABRA_DIR": str(self.root / "abra"), "TERM": "dumb", "COLUMNS": "400", "LANG": "en"}
        env = {**base, **kept, **own, "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}
        done = proc.run(
            [self.program, *words], timeout=LIMIT, env=env, terminal=terminal, check=False
        )
        if status is not None:
            assert done.exit_code == status, done.text
        return done

    def refused(self, *words: str, saying: str, terminal: bool = True) -> Completed:
        """Run abra and require a FATA with this text (any case) and exit status 1."""
        done = self.abra(*words, status=1, terminal=terminal)
        assert re.search(rf"FATA.*{saying}", done.text, re.IGNORECASE | re.DOTALL), done.text
        return done

    def new(self, *, deployable: bool = False) -> str:
        """Make an app by `app new -C`, with all its secrets when it is to be deployed."""
        domain = self.domain()
        self.abra("app", "new", "-n", "-o", "-C", "-s", "default", "-D", domain, RECIPE)
        if deployable:
            self.make_secrets(domain)
        return domain

    def domain(self) -> str:
        """Return a new domain whose stack is cleaned up at the end."""
        domain = f"c{secrets.token_hex(4)}-contract.ci.test"
        self.domains.append(domain)
        return domain

    def make_secrets(self, domain: str) -> dict[str, str]:
        """Generate what can be generated and insert the rest; return the generated values."""
        made = machine(self.abra("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain))
        path = self.root / "by_hand"
        path.write_text("made by hand")
        words = ["app", "secret", "insert", "-n", "-o", "-C", "-f", domain, "by_hand", "v1"]
        self.abra(*words, str(path))
        return {row["name"]: row["value"] for row in map(lower, made)}

    def deploy(self, domain: str, *flags: str, status: int | None = 0) -> Completed:
        """Deploy in chaos without waiting, plus further flags."""
        return self.abra(
            "app", "deploy", "-n", "-o", "-C", "-D", "-c", *flags, domain, status=status
        )

    def env(self, domain: str) -> Path:
        """Return the app's env file."""
        return self.root / "abra/servers/default" / f"{domain}.env"

    def set_env(self, domain: str, key: str, value: str) -> None:
        """Set one value in the app's env file."""
        path = self.env(domain)
        lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{key}=")]
        path.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")

    def labels(self, domain: str) -> dict[str, str]:
        """Return abra's own labels on the service `app`, without their prefix."""
        prefix = f"coop-cloud.{stack(domain)}."
        spec = self.api.services.get(f"{stack(domain)}_app").attrs["Spec"]
        found = spec["Labels"].items()
        return {k.removeprefix(prefix): v for k, v in found if k.startswith(prefix)}

    def services(self, domain: str) -> list[str]:
        """Return the names of the app's services, sorted."""
        found = self.api.services.list(filters={"label": f"{NAMESPACE}={stack(domain)}"})
        return sorted(service.name for service in found)

    def volumes(self, domain: str) -> list[str]:
        """Return the names of the app's volumes."""
        found = self.api.volumes.list(filters={"label": f"{NAMESPACE}={stack(domain)}"})
        return sorted(volume.name for volume in found)

    def secret_names(self, domain: str) -> list[str]:
        """Return the names of the app's secrets in the Swarm."""
        prefix = f"{stack(domain)}_"
        return sorted(s.name for s in self.api.secrets.list() if s.name.startswith(prefix))

    def running(self, domain: str) -> None:
        """Wait until each service of the app has a running task."""

        def look() -> wait.Look[bool]:
            tasks = self.api.api.tasks(filters={"label": f"{NAMESPACE}={stack(domain)}"})
            up = {t["ServiceID"] for t in tasks if t["Status"]["State"] == "running"}
            seen = ", ".join(t["Status"]["State"] for t in tasks)
            return wait.Look(seen, True if len(up) == len(self.services(domain)) else None)

        wait.until(look, what=f"'{domain}' to run", timeout=SETTLE)

    def clean(self) -> None:
        """Remove everything that the apps of this world left in Docker."""
        for domain in self.domains:
            self._clean(domain)

    def _clean(self, domain: str) -> None:
        mine = {"label": f"{NAMESPACE}={stack(domain)}"}
        for service in self.api.services.list(filters=mine):
            service.remove()

        def look() -> wait.Look[bool]:
            left = self.api.containers.list(all=True, filters=mine, ignore_removed=True)
            for container in left:
                _quietly(container.remove, force=True)
            tasks = self.api.api.tasks(filters=mine)
            return wait.Look(f"{len(left)} containers", None if left or tasks else True)

        wait.until(look, what=f"'{domain}' to go", timeout=SETTLE)
        for network in self.api.networks.list(filters=mine):
            _quietly(network.remove)
        for config in self.api.configs.list(filters=mine):
            _quietly(config.remove)
        for volume in self.api.volumes.list(filters=mine):
            _quietly(volume.remove)
        for secret in self.api.secrets.list():
            if secret.name.startswith(f"{stack(domain)}_"):
                _quietly(secret.remove)


def _quietly(remove: Any, **how: Any) -> None:
    """Remove something that may be gone already."""
    try:
        remove(**how)
    except APIError as error:
        if error.status_code not in (404, 409):
            raise


def stack(domain: str) -> str:
    """Return the stack of a domain that is short enough not to be cut."""
    return domain.replace(".", "_")


def machine(done: Completed) -> Any:
    """Return the JSON in a command's output, whatever log lines stand around it."""
    for match in re.finditer(r"[\[{]", done.out):
        try:
            return json.JSONDecoder().raw_decode(done.out[match.start() :])[0]
        except json.JSONDecodeError:
            continue
    raise AssertionError(f"no JSON in: {done.text}")


def lower(row: dict[str, Any]) -> dict[str, str]:
    """Return a row with keys in lower case and dashes, since abra's spelling differs."""
    return {re.sub(r"[ _]", "-", key).lower(): str(value) for key, value in row.items()}
