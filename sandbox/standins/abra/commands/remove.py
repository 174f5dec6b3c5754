"""`app volume rm` and `app remove`: delete what an undeployed app left behind."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands.preconditions import (
    named_app,
    require_no_input,
    require_terminal,
    require_undeployed,
)
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker

MAX_ATTEMPTS = 5  # abra retries when a volume is still in use
RETRY_INTERVAL = 1.0  # seconds


def volume_rm(line: CommandLine) -> None:
    """Remove all volumes of an app, or the one that is named.

    Raises:
        Fatal: the app is deployed, or a volume stays in use.
    """
    require_terminal()
    require_no_input(line)
    app = named_app(line)
    require_undeployed(app)
    found = docker.volumes(app.stack)
    if len(line.args) > 1:
        found = [name for name in found if name == f"{app.stack}_{line.args[1]}"]
    if not found:
        log.info("no volumes removed")
        return
    _remove_volumes(found)
    log.info(f"{len(found)} volumes removed successfully")


def app_remove(line: CommandLine) -> None:
    """Remove secrets, volumes and env file of an app.

    Raises:
        Fatal: the app is deployed, or something of it is in use.
    """
    require_terminal()
    require_no_input(line)
    app = named_app(line)
    require_undeployed(app)
    for name, secret_id in docker.secrets().items():
        if name.startswith(f"{app.stack}_"):
            docker.remove_secret(secret_id)
            log.info(f"secret: {name} removed")
    _remove_volumes(docker.volumes(app.stack))
    app.path.unlink()
    log.info(f"file: {app.path} removed")


def _remove_volumes(names: Sequence[str]) -> None:
    for name in names:
        for left in range(MAX_ATTEMPTS - 1, -1, -1):
            if docker.remove_volume(name):
                break
            if not left:
                raise Fatal(f"removing volumes failed: {name}: volume is in use")
            time.sleep(RETRY_INTERVAL)
