"""Table of the supported commands, and the entry point that runs one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from sandbox.standins.abra import VERSION, log
from sandbox.standins.abra.command_line import CommandLine, Syntax, find_command, parse
from sandbox.standins.abra.log import Fatal

INTERRUPTED = 130  # exit code after SIGINT, as a shell reports it


@dataclass(frozen=True, slots=True)
class Command:
    """One command of abra.

    Attributes:
        syntax: its flags and arguments.
        function: `module.function` below `commands`. The module is imported when the command runs: every
            command is a new process, and importing all modules would double its start-up time.
    """

    syntax: Syntax
    function: str

    def load(self) -> Callable[[CommandLine], int | None]:
        """Return the function; it returns an exit code, None for 0."""
        module, _, name = self.function.partition(".")
        found: Callable[[CommandLine], int | None] = getattr(
            import_module(f"sandbox.standins.abra.commands.{module}"), name
        )
        return found


DEPLOY_FLAGS = "C:chaos f:force D:no-domain-checks c:no-converge-checks"

COMMANDS = {
    "recipe lint": Command(Syntax("C:chaos", 1, 1), "lint.recipe_lint"),
    "app new": Command(Syntax("s:server D:domain C:chaos", 1, 2), "new.app_new"),
    "app deploy": Command(Syntax(DEPLOY_FLAGS, 1, 2), "deploy.app_deploy"),
    "app undeploy": Command(Syntax("", 1, 1), "deploy.app_undeploy"),
    "app ls": Command(Syntax("m:machine S:status", 0, 0), "listing.app_ls"),
    "app ps": Command(Syntax("m:machine C:chaos", 1, 1), "listing.app_ps"),
    "app run": Command(Syntax("t:no-tty u:user", 2, 2, tail=True), "in_container.app_run"),
    "app cmd": Command(Syntax("t:no-tty u:user C:chaos", 3, 3, tail=True), "in_container.app_cmd"),
    "app secret generate": Command(Syntax("a:all m:machine C:chaos", 1, 3), "secret.generate"),
    "app secret insert": Command(Syntax("f:file t:trim C:chaos", 4, 4), "secret.insert"),
    "app secret ls": Command(Syntax("m:machine C:chaos", 1, 1), "secret.ls"),
    "app secret rm": Command(Syntax("a:all C:chaos", 1, 2), "secret.rm"),
    "app volume rm": Command(Syntax("f:force", 1, 2), "remove.volume_rm"),
    "app remove": Command(Syntax("f:force", 1, 1), "remove.app_remove"),
    "app backup create": Command(Syntax("", 1, 1), "backup.backup_create"),
    "app backup snapshots": Command(Syntax("", 1, 1), "backup.backup_snapshots"),
    "app restore": Command(Syntax("C:chaos", 1, 1), "backup.restore"),
}


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if list(argv) in (["--version"], ["-v"]):
        print(f"abra version {VERSION}")
        return 0
    try:
        name, words = find_command(argv, COMMANDS)
        command = COMMANDS[name]
        return command.load()(parse(name, words, command.syntax)) or 0
    except Fatal as error:
        log.fatal(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
