"""`app backup` and `app restore`: commands that abra passes on to the backup bot."""

from __future__ import annotations

from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands.preconditions import (
    ensured_app,
    require_exec_terminal,
    require_no_input,
)
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker, proc

BOT_LABEL = "coop-cloud.backupbot.enabled=true"


def backup_create(line: CommandLine) -> None:
    """Back up an app."""
    _run_bot(line, "create")


def backup_snapshots(line: CommandLine) -> None:
    """List an app's snapshots."""
    _run_bot(line, "snapshots")


def restore(line: CommandLine) -> None:
    """Restore an app's latest snapshot."""
    require_no_input(line)
    _run_bot(line, "restore", snapshot="latest")


def _run_bot(line: CommandLine, command: str, *, snapshot: str = "") -> None:
    """Run a command of the bot on a terminal; without a snapshot the bot chooses one."""
    require_exec_terminal()
    app = ensured_app(line)
    found = docker.services(label=BOT_LABEL)
    if not found:
        raise Fatal("no backupbot discovered, is it deployed?")
    env = {"SERVICE": app.domain, "MACHINE_LOGS": "true"}
    env |= {"NONINTERACTIVE": "true"} if line.has("no-input") else {}
    env |= {"SNAPSHOT": snapshot} if snapshot else {}
    argv = ["/usr/bin/backup", "--", command]
    container = docker.require_container(found[0])
    exit_code = proc.run_attached(docker.exec_argv(container, argv, terminal=True, env=env))
    if exit_code != 0:
        raise Fatal(f"backup {command}: exit status {exit_code}")
