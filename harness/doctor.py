"""`cc-ci doctor`: for each part what was found, or the one line that fixes it."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable
from importlib import metadata

from contract.finding import Finding
from harness.errors import CcCiError, InfraError
from harness.host import proc
from harness.jail import jail
from harness.runs import preflight
from harness.settings import Settings
from harness.suites import collect, trusted
from harness.swarm import backup, engine, route

PART_WIDTH = 12  # characters
SETUP = "make setup"
BUILT_HERE = "cc-ci.content"  # label of the images that the sandbox's set-up builds


def examine(settings: Settings) -> list[Finding]:
    """Look at every part; a part that cannot be looked at is missing, with the reason."""
    parts: tuple[tuple[str, str, Callable[[Settings], str]], ...] = (
        ("python", SETUP, _python),
        ("git", "apt-get install git", _git),
        ("abra", "install abra, or set CCCI_ABRA", _abra),
        ("docker", SETUP, _docker),
        ("swarm", SETUP, _swarm),
        ("room", "free space below Docker's folder", _room),
        ("addresses", SETUP, _addresses),
        ("proxy", SETUP, _proxy),
        ("backup bot", SETUP, _bot),
        ("jail", SETUP, _jail),
        *(
            (("go", "install Go 1.25 or later", _go), ("images", SETUP, _images))
            if _on_bench(settings)
            else ()
        ),
    )
    return [_finding(part, fix, look, settings) for part, fix, look in parts]


def _finding(part: str, fix: str, look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(part, ok=True, seen=look(settings))
    except (CcCiError, OSError) as error:
        return Finding(part, ok=False, seen=str(error).splitlines()[0], fix=fix)


def _on_bench(settings: Settings) -> bool:
    """Say whether the recipes are the sandbox's: then their images are built here, not pulled."""
    return settings.recipes_url.startswith("/")


def _python(settings: Settings) -> str:
    pytest, sdk = (metadata.version(name) for name in ("pytest", "docker"))
    return f"{platform.python_version()}, pytest {pytest}, Docker SDK {sdk} ({sys.executable})"


def _git(settings: Settings) -> str:
    return proc.run(["git", "--version"], timeout=10).out.strip()


def _abra(settings: Settings) -> str:
    path = shutil.which(settings.abra) or settings.abra
    said = proc.run([path, "--version"], timeout=20, terminal=True).out.strip()
    stand_in = ", the sandbox's stand-in" if "standin" in said else ""
    return f"{said.removeprefix('abra version ')} ({path}{stand_in})"


def _docker(settings: Settings) -> str:
    found = engine.client().version()
    return f"engine {found['Version']}, API {found['ApiVersion']}"


def _swarm(settings: Settings) -> str:
    preflight.swarm_manager()
    return "manager of a swarm with network proxy"


def _room(settings: Settings) -> str:
    preflight.host(settings)
    return "at least 2 GiB and 50000 inodes are free, all folders can be written"


def _addresses(settings: Settings) -> str:
    if settings.endpoint_mode:
        return (
            f"service addresses are dead here; deployed with endpoint_mode {settings.endpoint_mode}"
        )
    return "service addresses are used as recipes expect"


def _proxy(settings: Settings) -> str:
    host, port = settings.proxy_address
    with socket.create_connection((host, port), timeout=5):
        pass
    if not settings.proxy_api:
        return f"listens on {host}:{port}; its API is not set, so its version is not known"
    count = len(route.all_routers(settings))
    return f"Traefik {route.version(settings)} listens on {host}:{port}, {count} routers"


def _bot(settings: Settings) -> str:
    said = backup.restic("version").split()
    return f"restic {said[1]} in container {backup.bot_container()[:12]}"


def _go(settings: Settings) -> str:
    said = proc.run(["go", "version"], timeout=20).out.split()
    return f"{said[2].removeprefix('go')} ({shutil.which('go')}), for the proxy and the demo apps"


def _images(settings: Settings) -> str:
    found = engine.client().images(filters={"label": BUILT_HERE})
    names = sorted(tag for image in found for tag in image.get("RepoTags") or ())
    if not names:
        raise InfraError("none of the demo recipes' images is built")
    return ", ".join(names)


def _jail(settings: Settings) -> str:
    folder = settings.suites_dir
    recipes = trusted.load(folder, collect.enrolled(folder))
    if not recipes:
        return "not needed: no recipe is trusted to have its own tests run"
    jail.check()
    return f"can be had, for the own tests of {', '.join(recipes)}"
