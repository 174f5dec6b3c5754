"""`cc-ci doctor`: checks each part of the host, and names a fix for anything missing."""

from __future__ import annotations

import platform
import shutil
import socket
import sys
from collections.abc import Callable
from importlib import metadata

from contract.finding import Finding
from harness.errors import CcCiError
from harness.host import proc
from harness.jail import jail
from harness.runs import preflight
from harness.settings import Settings
from harness.suites import trusted
from harness.suites.suite import enrolled
from harness.swarm import backup, engine, route

PART_WIDTH = 12  # characters
SETUP = "make setup"


def examine(settings: Settings) -> list[Finding]:
    """Check every part; a check that fails for any reason is a finding with that reason."""
    checks: tuple[tuple[str, str, Callable[[Settings], str]], ...] = (
        ("python", SETUP, _python),
        ("git", "apt-get install git", _git),
        ("abra", "install abra, or set CCCI_ABRA", _abra),
        ("docker", SETUP, _docker),
        ("swarm", SETUP, _swarm),
        ("space", "free space below Docker's folder", _space),
        ("addresses", SETUP, _addresses),
        ("proxy", SETUP, _proxy),
        ("backup bot", SETUP, _bot),
        ("jail", SETUP, _jail),
    )
    return [_finding(part, fix, check, settings) for part, fix, check in checks]


def _finding(part: str, fix: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(part, ok=True, seen=check(settings))
    except (CcCiError, OSError) as error:
        return Finding(part, ok=False, seen=str(error).splitlines()[0], fix=fix)


def _python(settings: Settings) -> str:
    pytest, sdk = (metadata.version(name) for name in ("pytest", "docker"))
    return f"{platform.python_version()}, pytest {pytest}, Docker SDK {sdk} ({sys.executable})"


def _git(settings: Settings) -> str:
    return proc.run(["git", "--version"], timeout=10).out.strip()


def _abra(settings: Settings) -> str:
    path = shutil.which(settings.abra) or settings.abra
    output = proc.run([path, "--version"], timeout=20, terminal=True).out.strip()
    return f"{output.removeprefix('abra version ')} ({path})"


def _docker(settings: Settings) -> str:
    version = engine.client().version()
    return f"engine {version['Version']}, API {version['ApiVersion']}"


def _swarm(settings: Settings) -> str:
    preflight.swarm_manager()
    return "this node is a manager, the network proxy exists"


def _space(settings: Settings) -> str:
    preflight.check_host(settings)
    return "at least 2 GiB and 50000 inodes free, all folders writable"


def _addresses(settings: Settings) -> str:
    if settings.endpoint_mode:
        return f"virtual addresses are not used: endpoint_mode {settings.endpoint_mode} on all services"
    return "services are reached by their virtual addresses"


def _proxy(settings: Settings) -> str:
    host, port = settings.proxy_address
    with socket.create_connection((host, port), timeout=5):
        pass
    if not settings.proxy_api:
        return f"listens on {host}:{port}; version unknown: CCCI_PROXY_API is not set"
    count = len(route.all_routers(settings))
    return f"Traefik {route.version(settings)} listens on {host}:{port}, {count} routers"


def _bot(settings: Settings) -> str:
    words = backup.restic("version").split()
    return f"restic {words[1]} in container {backup.bot_container()[:12]}"


def _jail(settings: Settings) -> str:
    folder = settings.suites_dir
    recipes = trusted.load(folder, enrolled(folder))
    if not recipes:
        return "not needed: no recipe is trusted to run its own tests"
    jail.check()
    return f"available, for the own tests of {', '.join(recipes)}"
