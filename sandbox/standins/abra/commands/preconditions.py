"""Checks that commands make before they act: terminal, `--no-input`, app, checkout, deployed or not."""

from __future__ import annotations

import os

from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.files import abra_dir
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker


def require_terminal() -> None:
    """Require a terminal, as several abra commands do even with `--no-input`.

    Raises:
        Fatal: standard input or output is not a terminal.
    """
    if not (_is_terminal(0) and _is_terminal(1)):
        raise Fatal("inappropriate ioctl for device")


def require_exec_terminal() -> None:
    """Require a terminal that a command in a container can be attached to.

    Raises:
        Fatal: standard input is not a terminal.
    """
    if not _is_terminal(0):
        raise Fatal("the input device is not a TTY")


def exec_terminal(line: CommandLine) -> bool:
    """Return True if a command in a container gets a terminal, which `--no-tty` prevents.

    Raises:
        Fatal: it gets one and standard input is not a terminal.
    """
    wanted = not line.has("no-tty")
    if wanted:
        require_exec_terminal()
    return wanted


def require_no_input(line: CommandLine) -> None:
    """Require `--no-input`: the stand-in does not support abra's prompts.

    Raises:
        Fatal: the flag is missing.
    """
    if not line.has("no-input"):
        raise Fatal(f"the stand-in does not support '{line.command}' without --no-input")


def named_app(line: CommandLine) -> App:
    """Return the app that the first argument names; its checkout stays as it is."""
    return abra_dir.current().app(line.args[0])


def ensured_app(line: CommandLine) -> App:
    """Return the app, with its checkout moved to the version in its env file unless `--chaos` is given."""
    app = named_app(line)
    version = app.env.version
    app.checkout.ensure(version, chaos=line.has("chaos"), offline=line.has("offline"))
    return app


def require_deployed(app: App) -> None:
    """Require that an app has services.

    Raises:
        Fatal: it has none.
    """
    if not docker.services(app.stack):
        raise Fatal(f"{app.domain} is not deployed")


def require_undeployed(app: App) -> None:
    """Require that an app has no services.

    Raises:
        Fatal: it has some.
    """
    if docker.services(app.stack):
        raise Fatal(f"{app.domain} is still deployed. Run 'abra app undeploy {app.domain}'")


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False
