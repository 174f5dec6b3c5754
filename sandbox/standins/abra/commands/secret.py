"""`app secret generate`, `insert`, `ls` and `rm`."""

from __future__ import annotations

import json
from pathlib import Path

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands import tables
from sandbox.standins.abra.commands.preconditions import ensured_app, require_terminal
from sandbox.standins.abra.files.abra_dir import App
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.recipe import secret_specs
from sandbox.standins.abra.recipe.secret_specs import SecretSpec
from sandbox.standins.abra.tools import docker


def generate(line: CommandLine) -> int:
    """Create the secrets that are named and do not exist yet.

    Returns:
        1 if there was nothing to create, which abra does not count as success.
    """
    require_terminal()
    app = ensured_app(line)
    chosen = _chosen(line, _specs(app))
    present = docker.secrets()
    made: list[dict[str, str]] = []
    for spec in chosen:
        if spec.swarm_name in present:
            log.warn(f"{spec.swarm_name} already exists", machine=line.has("machine"))
            continue
        value = secret_specs.random_value(spec)
        docker.create_secret(spec.swarm_name, value.encode())
        made.append({"name": spec.name, "value": value})
    if not made:
        log.warn("no secrets generated")
        return 1
    if line.has("machine"):
        log.info("generated secrets", machine=True)
        print(json.dumps(made))
        return 0
    print("\n".join(f"{row['name']} │ {row['value']}" for row in made))
    log.warn("generated secrets are not shown again, please take note of them NOW")
    return 0


def insert(line: CommandLine) -> None:
    """Create one secret with a value from the command line or a file.

    Raises:
        Fatal: the value is empty or cannot be read, or the secret exists.
    """
    require_terminal()
    app = ensured_app(line)
    _, name, version, data = line.args
    try:
        value = Path(data).read_bytes() if line.has("file") else data.encode()
    except OSError as error:
        raise Fatal(f"cannot read '{data}': {error.strerror}") from error
    value = value.strip() if line.has("trim") else value
    if not value:
        raise Fatal(f"secret {name} is empty")
    full = secret_specs.swarm_name(app.stack, name, version)
    if not docker.create_secret(full, value):
        raise Fatal(f"secret {full} already exists")
    log.info(f"{full} successfully stored on server")


def ls(line: CommandLine) -> None:
    """List the recipe's secrets and whether the server has them."""
    require_terminal()
    app = ensured_app(line)
    present = docker.secrets()
    rows = [
        {
            "NAME": spec.name,
            "VERSION": spec.version,
            "GENERATED NAME": spec.swarm_name,
            "CREATED ON SERVER": str(spec.swarm_name in present).lower(),
        }
        for spec in _specs(app)
    ]
    if line.has("machine"):
        log.info(f"reading secrets of {app.domain}", machine=True)
        print(json.dumps(rows))
    elif rows:
        print(tables.plain(rows))
    else:
        log.warn(f"no secrets stored for {app.domain}")


def rm(line: CommandLine) -> None:
    """Remove one secret of the recipe, or all, from the server.

    Raises:
        Fatal: the server has none of them.
    """
    require_terminal()
    app = ensured_app(line)
    names = line.args[1:]
    if line.has("all") == bool(names):
        raise Fatal("either <secret> or --all")
    present = docker.secrets()
    wanted = [
        spec
        for spec in _specs(app)
        if spec.swarm_name in present and (not names or spec.name == names[0])
    ]
    if not wanted:
        raise Fatal("no secrets to remove?")
    for spec in wanted:
        docker.remove_secret(present[spec.swarm_name])
        log.info(f"deleted {spec.swarm_name} successfully from server")


def _specs(app: App) -> list[SecretSpec]:
    return secret_specs.of_app(app.compose(), app.env, app.values(), app.stack)


def _chosen(line: CommandLine, specs: list[SecretSpec]) -> list[SecretSpec]:
    """Return the secrets that the command line names."""
    names = line.args[1:]
    if line.has("all") == bool(names):
        raise Fatal("either <secret> <version> or --all")
    if line.has("all"):
        return [spec for spec in specs if spec.generate]
    if len(names) != 2:
        raise Fatal("missing <version>")
    found = [spec for spec in specs if (spec.name, spec.version) == names]
    if not found:
        raise Fatal(f"{names[0]} {names[1]} doesn't exist in the env config?")
    return found
