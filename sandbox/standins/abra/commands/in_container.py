"""`app run` and `app cmd`: commands and functions of abra.sh in an app's containers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands.preconditions import ensured_app, exec_terminal
from sandbox.standins.abra.files import abra_dir
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker, proc

SCRIPT = "/tmp/abra.sh"  # where abra.sh is copied to in the container
FUNCTION = re.compile(r"^\s*(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\)", re.MULTILINE)


def app_run(line: CommandLine) -> None:
    """Replace this process by a command in one of the app's containers, whose exit code it gets.

    Raises:
        Fatal: no command is given, or the service has no running container.
    """
    terminal = exec_terminal(line)
    if not line.tail:
        raise Fatal("no <cmd> provided; put it after '--'")
    domain, service = line.args
    app = abra_dir.current().app(domain)
    container = container_of(app, service)
    user = line.flags.get("user", "")
    proc.become(docker.exec_argv(container, line.tail, terminal=terminal, user=user))


def app_cmd(line: CommandLine) -> None:
    """Run a function of abra.sh in a container."""
    terminal = exec_terminal(line)
    app = ensured_app(line)
    _, service, function = line.args
    user = line.flags.get("user", "")
    run_function(app, service, function, line.tail, terminal=terminal, user=user)


def run_function(
    app: App,
    service: str,
    function: str,
    arguments: Sequence[str],
    *,
    terminal: bool,
    user: str = "",
) -> None:
    """Run a function of the recipe's abra.sh in a container, with bash where the image has it.

    Raises:
        Fatal: abra.sh has no such function, or it failed.
    """
    script = app.checkout.path / "abra.sh"
    known = functions(script.read_text()) if script.is_file() else []
    if function not in known:
        raise Fatal(f"{app.env.recipe} doesn't have a {function} function")
    container = container_of(app, service)
    copied = proc.run(["docker", "cp", str(script), f"{container}:{SCRIPT}"])
    if copied.exit_code != 0:
        raise Fatal(copied.error_text)
    bash = proc.run(["docker", "exec", container, "bash", "-c", "true"]).exit_code == 0
    line = _shell_line(app, service, function, arguments)
    argv = ["bash" if bash else "sh", "-c", line]
    exit_code = proc.run_attached(docker.exec_argv(container, argv, terminal=terminal, user=user))
    if exit_code != 0:
        raise Fatal(f"{function} of {service}: exit status {exit_code}")


def functions(script: str) -> list[str]:
    """Return the names of the functions in an abra.sh."""
    return FUNCTION.findall(script)


def _shell_line(app: App, service: str, function: str, arguments: Sequence[str]) -> str:
    """Return the shell line that calls a function of abra.sh; its arguments are not quoted."""
    variables = f"TARGET={service}; APP_NAME={app.domain}; STACK_NAME={app.stack}"
    return f"{variables}; . {SCRIPT}; {' '.join([function, *arguments])}"


def container_of(app: App, service: str) -> str:
    """Return the running container of one of the app's services.

    Raises:
        Fatal: there is no such service, or it has no running task.
    """
    name = f"{app.stack}_{service}"
    for found in docker.services(app.stack):
        if found["Spec"]["Name"] == name:
            return docker.require_container(found)
    raise Fatal(f"no service {name} is deployed")
