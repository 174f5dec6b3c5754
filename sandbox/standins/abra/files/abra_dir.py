"""abra's data directory (ABRA_DIR): servers with an env file for each app, and the recipes' checkouts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.standins.abra.files import compose, env_file
from sandbox.standins.abra.files.checkout import Checkout
from sandbox.standins.abra.files.compose import Compose
from sandbox.standins.abra.files.env_file import EnvFile
from sandbox.standins.abra.log import Fatal

FOLDERS = ("servers", "recipes", "logs")  # abra creates missing ones when it starts


@dataclass(frozen=True, slots=True)
class App:
    """One app: its env file as it was read, and its recipe's checkout."""

    domain: str
    server: str
    path: Path
    env: EnvFile
    checkout: Checkout

    @property
    def stack(self) -> str:
        """Name of the app's stack."""
        return env_file.stack_name(self.domain, self.env.values)

    def values(self) -> dict[str, str]:
        """Return the variables of the compose files: env file, exports of abra.sh, STACK_NAME."""
        script = self.checkout.path / "abra.sh"
        exported = env_file.exports(script.read_text()) if script.is_file() else {}
        return {**self.env.values, **exported, "STACK_NAME": self.stack}

    def compose(self) -> Compose:
        """Return the compose files that the env file enables, merged.

        Raises:
            Fatal: a file is missing or invalid.
        """
        return compose.load(compose.enabled(self.checkout.path, self.env.values))

    def pin(self, version: str) -> None:
        """Write a version into the env file, after the recipe's name."""
        self.path.write_text(env_file.pin(self.path.read_text(), version))


@dataclass(frozen=True, slots=True)
class AbraDir:
    """abra's data directory."""

    root: Path

    @classmethod
    def locate(cls, environ: Mapping[str, str]) -> AbraDir:
        """Return the directory that ABRA_DIR names, else `~/.abra`; missing folders are created.

        Raises:
            Fatal: it cannot be created.
        """
        named = environ.get("ABRA_DIR")
        root = Path(named) if named else Path(environ.get("HOME", "/root")) / ".abra"
        try:
            for folder in FOLDERS:
                (root / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Fatal(f"cannot create '{root}': {error.strerror}") from error
        return cls(root)

    def servers(self) -> list[str]:
        """Return the names of all servers.

        Raises:
            Fatal: there is none.
        """
        found = sorted(p.name for p in (self.root / "servers").iterdir() if p.is_dir())
        if not found:
            raise Fatal(f"{self.root / 'servers'}: directory is empty")
        return found

    def checkout(self, recipe: str) -> Checkout:
        """Return a recipe's checkout, which may not exist."""
        folder = recipe.replace(".", "_").replace("/", "_") if "/" in recipe else recipe
        return Checkout(recipe, self.root / "recipes" / folder)

    def env_path(self, server: str, domain: str) -> Path:
        """Return the path of an app's env file."""
        return self.root / "servers" / server / f"{domain}.env"

    def apps(self) -> list[App]:
        """Return every app, sorted by server and domain."""
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


def current() -> AbraDir:
    """Return the data directory of this process."""
    return AbraDir.locate(os.environ)
