"""abra's data directory: servers, the env files below them, and the recipes' checkouts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.abra.files import compose, env_file
from sandbox.standins.abra.files.checkout import Checkout
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.files.env_file import Env
from sandbox.standins.abra.log import Fatal

FOLDERS = ("servers", "recipes", "logs")  # abra makes what is missing when it starts
OBEYED = re.compile(r"(?:LD|DOCKER|GO)_?[A-Z_]*|PATH|HOME|TMPDIR")
PASSED_ON = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class App:
    """One app: its env file, as it is now, and its recipe's checkout."""

    domain: str
    server: str
    path: Path
    env: Env
    checkout: Checkout

    @property
    def stack(self) -> str:
        """The name of its stack."""
        return env_file.stack_name(self.domain, self.env.values)

    def values(self) -> dict[str, str]:
        """Return the compose environment: env file, exports of abra.sh, STACK_NAME."""
        script = self.checkout.path / "abra.sh"
        exported = env_file.exports(script.read_text()) if script.is_file() else {}
        return {**self.env.values, **exported, "STACK_NAME": self.stack}

    def compose(self) -> Compose:
        """Return the compose files that the env file enables, merged.

        Raises:
            Fatal: they are invalid.
        """
        return compose.load(compose.enabled(self.checkout.path, self.env.values))

    def pin(self, version: str) -> None:
        """Write a version into the env file, behind the recipe's name."""
        self.path.write_text(env_file.pin(self.path.read_text(), version))


@dataclass(frozen=True, slots=True)
class Data:
    """abra's data directory."""

    root: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> Data:
        """Return the directory that ABRA_DIR names, else `~/.abra`, with its folders made.

        Raises:
            Fatal: it cannot be made.
        """
        named = environ.get("ABRA_DIR")
        root = Path(named) if named else Path(environ.get("HOME", "/root")) / ".abra"
        try:
            for folder in FOLDERS:
                (root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Fatal(f"cannot make '{root}': {error.strerror}") from error
        return cls(root)

    def servers(self) -> list[str]:
        """Return the names of the servers.

        Raises:
            Fatal: there is none.
        """
        found = sorted(p.name for p in (self.root / "servers").iterdir() if p.is_dir())
        if not found:
            raise Fatal(f"{self.root / 'servers'}: directory is empty")
        return found

    def checkout(self, recipe: str) -> Checkout:
        """Return a recipe's checkout, which may not be there."""
        folder = recipe.replace(".", "_").replace("/", "_") if "/" in recipe else recipe
        return Checkout(recipe, self.root / "recipes" / folder)

    def env_path(self, server: str, domain: str) -> Path:
        """Return where an app's env file belongs."""
        return self.root / "servers" / server / f"{domain}.env"

    def apps(self) -> list[App]:
        """Return every app, by server and domain."""
        return [
            self._app(server, path)
            for server in self.servers()
            for path in sorted((self.root / "servers" / server).glob("*.env"))
        ]

    def app(self, domain: str) -> App:
        """Return one app.

        Raises:
            Fatal: there is no such app.
        """
        for server in self.servers():
            path = self.env_path(server, domain)
            if path.is_file():
                return self._app(server, path)
        raise Fatal(f"cannot find app with name {domain}")

    def _app(self, server: str, path: Path) -> App:
        read = env_file.read(path)
        return App(path.name.removesuffix(".env"), server, path, read, self.checkout(read.recipe))


def compose_environment(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for `docker stack deploy`: nothing of ours but what docker needs.

    abra replaces variables itself; here they must pass through docker's own environment.

    Raises:
        Fatal: a value would change docker itself.
    """
    for key in values:
        if OBEYED.fullmatch(key):
            raise Fatal(f"variable {key} would change the docker command; that is not modelled")
    return {**values, **{key: environ[key] for key in PASSED_ON if key in environ}}


def endpoint_mode(environ: Mapping[str, str]) -> str:
    """Return the endpoint mode that this machine's services need, "" for Docker's own default.

    From CCCI_ENDPOINT_MODE, else from the settings file that the sandbox's set-up wrote.
    """
    if "CCCI_ENDPOINT_MODE" in environ:
        return environ["CCCI_ENDPOINT_MODE"]
    own = Path(__file__).resolve().parents[4] / ".bench/settings.env"
    path = Path(environ.get("CCCI_SETTINGS") or own)
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    values = dict(line.split("=", 1) for line in lines if "=" in line and line[:1] != "#")
    return values.get("CCCI_ENDPOINT_MODE", "").strip()


def home() -> Data:
    """Return the data directory of this process."""
    return Data.locate(os.environ)
