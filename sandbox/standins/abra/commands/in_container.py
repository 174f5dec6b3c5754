"""What abra runs inside containers: commands, functions of abra.sh, and the backup bot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools import docker, proc

BOT_LABEL = "coop-cloud.backupbot.enabled=true"
SCRIPT = "/tmp/abra.sh"


def container(app: App, service: str) -> str:
    """Return the running container of one of the app's services.

    Raises:
        Fatal: no such service, or no running task.
    """
    name = f"{app.stack}_{service}"
    for found in docker.services(app.stack):
        if found["Spec"]["Name"] == name:
            return _container_of(found)
    raise Fatal(f"no service {name} is deployed")


def _container_of(service: dict[str, Any]) -> str:
    found = docker.running_container(str(service["ID"]))
    if found is None:
        raise Fatal(f"no running container of {service['Spec']['Name']}")
    return found


def run(app: App, service: str, argv: Sequence[str], *, terminal: bool, user: str) -> NoReturn:
    """Become a command in one of the app's containers; its exit status is ours."""
    found = container(app, service)
    proc.become(docker.exec_words(found, argv, terminal=terminal, user=user))


def functions(script: str) -> list[str]:
    """Return the names of the functions in an abra.sh."""
    return re.findall(r"^\s*(?:function\s+)?([A-Za-z_][\w-]*)\s*\(\)", script, re.MULTILINE)


def function_line(app: App, service: str, function: str, arguments: Sequence[str]) -> str:
    """Return the shell line that calls a function of abra.sh; its arguments are not quoted."""
    given = f"TARGET={service}; APP_NAME={app.domain}; STACK_NAME={app.stack}"
    return f"{given}; . {SCRIPT}; {' '.join([function, *arguments])}"


def function(
    app: App,
    service: str,
    name: str,
    arguments: Sequence[str],
    *,
    terminal: bool,
    user: str = "",
) -> None:
    """Run a function of the recipe's abra.sh in a container, with bash where there is one.

    Raises:
        Fatal: no such function, or it failed.
    """
    script = app.checkout.path / "abra.sh"
    known = functions(script.read_text()) if script.is_file() else []
    if name not in known:
        raise Fatal(f"{app.env.recipe} doesn't have a {name} function")
    found = container(app, service)
    copied = proc.run(["docker", "cp", str(script), f"{found}:{SCRIPT}"])
    if copied.status != 0:
        raise Fatal(copied.said)
    bash = proc.run(["docker", "exec", found, "bash", "-c", "true"]).status == 0
    line = function_line(app, service, name, arguments)
    argv = ["bash" if bash else "sh", "-c", line]
    status = proc.attached(docker.exec_words(found, argv, terminal=terminal, user=user))
    if status != 0:
        raise Fatal(f"{name} of {service}: exit status {status}")


def bot(app: App, command: str, *, no_input: bool, snapshot: str = "") -> None:
    """Let the backup bot do something for an app, on a terminal.

    command: create, snapshots or restore. snapshot: which one, "" for the bot's own choice.

    Raises:
        Fatal: no bot runs here, or it failed.
    """
    found = docker.services(label=BOT_LABEL)
    if not found:
        raise Fatal("no backupbot discovered, is it deployed?")
    env = {"SERVICE": app.domain, "MACHINE_LOGS": "true"}
    env |= {"NONINTERACTIVE": "true"} if no_input else {}
    env |= {"SNAPSHOT": snapshot} if snapshot else {}
    argv = ["/usr/bin/backup", "--", command]
    words = docker.exec_words(_container_of(found[0]), argv, terminal=True, env=env)
    status = proc.attached(words)
    if status != 0:
        raise Fatal(f"backup {command}: exit status {status}")
