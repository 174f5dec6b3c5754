"""The commands of the stand-in: a table, and one function each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.standins.abra import VERSION, log
from sandbox.standins.abra.command_line import Line, Syntax, find, parse
from sandbox.standins.abra.files import abra_dir
from sandbox.standins.abra.log import Fatal

if TYPE_CHECKING:
    from sandbox.standins.abra.commands.secret_specs import Spec
    from sandbox.standins.abra.files.abra_dir import App

IN_USE_TRIES = 5  # abra retries a volume that is still in use
IN_USE_EVERY = 1.0  # seconds

SYNTAX = {
    "recipe lint": Syntax("C:chaos", 1, 1),
    "app new": Syntax("s:server D:domain C:chaos", 1, 2),
    "app deploy": Syntax("C:chaos f:force D:no-domain-checks c:no-converge-checks", 1, 2),
    "app undeploy": Syntax("", 1, 1),
    "app ls": Syntax("m:machine S:status", 0, 0),
    "app ps": Syntax("m:machine C:chaos", 1, 1),
    "app run": Syntax("t:no-tty u:user", 2, 2, tail=True),
    "app cmd": Syntax("t:no-tty u:user C:chaos", 3, 3, tail=True),
    "app secret generate": Syntax("a:all m:machine C:chaos", 1, 3),
    "app secret insert": Syntax("f:file t:trim C:chaos", 4, 4),
    "app secret ls": Syntax("m:machine C:chaos", 1, 1),
    "app secret rm": Syntax("a:all C:chaos", 1, 2),
    "app volume rm": Syntax("f:force", 1, 2),
    "app remove": Syntax("f:force", 1, 1),
    "app backup create": Syntax("", 1, 1),
    "app backup snapshots": Syntax("", 1, 1),
    "app restore": Syntax("C:chaos", 1, 1),
}


def main(argv: Sequence[str]) -> int:
    """Run one command; return its exit status."""
    if list(argv) in (["--version"], ["-v"]):
        print(f"abra version {VERSION}")
        return 0
    try:
        command, rest = find(argv, SYNTAX)
        return COMMANDS[command](parse(command, rest, SYNTAX[command])) or 0
    except Fatal as error:
        log.fatal(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _recipe_lint(line: Line) -> None:
    from sandbox.standins.abra.commands import lint

    log.needs_terminal()
    checkout = abra_dir.home().checkout(line.names[0])
    checkout.ensure("", chaos=line.has("chaos"), offline=line.has("offline"))
    lint.lint(checkout)


def _app_new(line: Line) -> None:
    from sandbox.standins.abra.files import compose, env_file

    log.needs_terminal()
    _needs_no_input(line)
    data = abra_dir.home()
    recipe, *version = line.names
    if version and line.has("chaos"):
        raise Fatal("cannot use [version] and --chaos together")
    server, domain = _server(data, line), line.flags.get("domain")
    if not domain:
        raise Fatal("no domain provided")
    path = data.env_path(server, domain)
    if path.exists():
        raise Fatal(f"{path} already exists?")
    checkout = data.checkout(recipe)
    wanted = version[0] if version else ""
    checkout.ensure(wanted, chaos=line.has("chaos"), offline=line.has("offline"))
    sample = checkout.path / ".env.sample"
    if not sample.is_file():
        raise Fatal(f"{recipe} has no .env.sample")
    compose.load(compose.enabled(checkout.path, env_file.read(sample).values))
    pinned = "" if line.has("chaos") else wanted or checkout.newest()
    text = sample.read_text().replace(f"{recipe}.example.com", domain)
    path.write_text(env_file.pin(text, pinned or checkout.chaos_version()))
    log.info(f"new app '{domain}' created on server '{server}' with recipe '{recipe}'")


def _server(data: abra_dir.Data, line: Line) -> str:
    known = data.servers()
    server = line.flags.get("server") or (known[0] if len(known) == 1 else "")
    if server not in known:
        raise Fatal(f"server '{server}' doesn't exist in {data.root / 'servers'}")
    return server


def _app_deploy(line: Line) -> None:
    from sandbox.standins.abra.commands import deploy

    log.needs_terminal()
    _needs_no_input(line)
    app = abra_dir.home().app(line.names[0])
    wishes = deploy.Wishes(
        version=line.names[1] if len(line.names) > 1 else "",
        chaos=line.has("chaos"),
        force=line.has("force"),
        offline=line.has("offline"),
        no_domain_checks=line.has("no-domain-checks"),
        no_converge_checks=line.has("no-converge-checks"),
    )
    deploy.deploy(app, wishes)


def _app_undeploy(line: Line) -> None:
    from sandbox.standins.abra.commands import deploy

    log.needs_terminal()
    _needs_no_input(line)
    deploy.undeploy(abra_dir.home().app(line.names[0]))


def _app_ls(line: Line) -> None:
    from sandbox.standins.abra.commands import listing

    found = listing.servers(abra_dir.home().apps(), status=line.has("status"))
    if line.has("machine"):
        log.info("reading apps", machine=True)
        print(json.dumps(found))
        return
    print(listing.table([row for server in found.values() for row in server["apps"]]))


def _app_ps(line: Line) -> None:
    from sandbox.standins.abra.commands import deploy, listing

    app = _ensured(line)
    deploy.require_deployed(app)
    found = listing.services(app)
    if line.has("machine"):
        log.info(f"reading services of {app.domain}", machine=True)
        print(json.dumps(found))
        return
    print(listing.table(list(found.values())))


def _app_run(line: Line) -> None:
    from sandbox.standins.abra.commands import in_container

    terminal = _terminal_for_exec(line)
    if not line.tail:
        raise Fatal("no <cmd> provided; it belongs behind '--'")
    domain, service = line.names
    app = abra_dir.home().app(domain)
    in_container.run(app, service, line.tail, terminal=terminal, user=line.flags.get("user", ""))


def _app_cmd(line: Line) -> None:
    from sandbox.standins.abra.commands import in_container

    terminal = _terminal_for_exec(line)
    app = _ensured(line)
    _, service, name = line.names
    user = line.flags.get("user", "")
    in_container.function(app, service, name, line.tail, terminal=terminal, user=user)


def _secret_generate(line: Line) -> int:
    from sandbox.standins.abra.commands import secret_specs
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    app = _ensured(line)
    chosen = _chosen(line, _specs(app))
    present = docker.secrets()
    made: list[dict[str, str]] = []
    for spec in chosen:
        if spec.remote in present:
            log.warn(f"{spec.remote} already exists", machine=line.has("machine"))
            continue
        value = secret_specs.value(spec)
        docker.create_secret(spec.remote, value.encode())
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


def _chosen(line: Line, specs: list[Spec]) -> list[Spec]:
    """Return the secrets that the command line asks for."""
    names = line.names[1:]
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


def _secret_insert(line: Line) -> None:
    from sandbox.standins.abra.commands import secret_specs
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    app = _ensured(line)
    _, name, version, data = line.names
    try:
        value = Path(data).read_bytes() if line.has("file") else data.encode()
    except OSError as error:
        raise Fatal(f"cannot read '{data}': {error.strerror}") from error
    value = value.strip() if line.has("trim") else value
    if not value:
        raise Fatal(f"secret {name} is empty")
    full = secret_specs.remote_name(app.stack, name, version)
    if not docker.create_secret(full, value):
        raise Fatal(f"secret {full} already exists")
    log.info(f"{full} successfully stored on server")


def _secret_ls(line: Line) -> None:
    from sandbox.standins.abra.commands import listing
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    app = _ensured(line)
    present = docker.secrets()
    rows = [
        {
            "NAME": spec.name,
            "VERSION": spec.version,
            "GENERATED NAME": spec.remote,
            "CREATED ON SERVER": str(spec.remote in present).lower(),
        }
        for spec in _specs(app)
    ]
    if line.has("machine"):
        log.info(f"reading secrets of {app.domain}", machine=True)
        print(json.dumps(rows))
    elif rows:
        print(listing.table(rows))
    else:
        log.warn(f"no secrets stored for {app.domain}")


def _secret_rm(line: Line) -> None:
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    app = _ensured(line)
    names = line.names[1:]
    if line.has("all") == bool(names):
        raise Fatal("either <secret> or --all")
    present = docker.secrets()
    wanted = [s for s in _specs(app) if s.remote in present and (not names or s.name == names[0])]
    if not wanted:
        raise Fatal("no secrets to remove?")
    for spec in wanted:
        docker.remove_secret(present[spec.remote])
        log.info(f"deleted {spec.remote} successfully from server")


def _specs(app: App) -> list[Spec]:
    from sandbox.standins.abra.commands import secret_specs

    return secret_specs.wanted(app.compose(), app.env, app.values(), app.stack)


def _volume_rm(line: Line) -> None:
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    _needs_no_input(line)
    app = abra_dir.home().app(line.names[0])
    _require_undeployed(app)
    found = docker.volumes(app.stack)
    if len(line.names) > 1:
        found = [name for name in found if name == f"{app.stack}_{line.names[1]}"]
    if not found:
        log.info("no volumes removed")
        return
    _remove_volumes(found)
    log.info(f"{len(found)} volumes removed successfully")


def _app_remove(line: Line) -> None:
    from sandbox.standins.abra.tools import docker

    log.needs_terminal()
    _needs_no_input(line)
    app = abra_dir.home().app(line.names[0])
    _require_undeployed(app)
    for name, secret_id in docker.secrets().items():
        if name.startswith(f"{app.stack}_"):
            docker.remove_secret(secret_id)
            log.info(f"secret: {name} removed")
    _remove_volumes(docker.volumes(app.stack))
    app.path.unlink()
    log.info(f"file: {app.path} removed")


def _require_undeployed(app: App) -> None:
    from sandbox.standins.abra.tools import docker

    if docker.services(app.stack):
        raise Fatal(f"{app.domain} is still deployed. Run 'abra app undeploy {app.domain}'")


def _remove_volumes(names: Sequence[str]) -> None:
    from sandbox.standins.abra.tools import docker

    for name in names:
        for left in range(IN_USE_TRIES - 1, -1, -1):
            if docker.remove_volume(name):
                break
            if not left:
                raise Fatal(f"removing volumes failed: {name}: volume is in use")
            time.sleep(IN_USE_EVERY)


def _backup_create(line: Line) -> None:
    _bot(line, "create")


def _backup_snapshots(line: Line) -> None:
    _bot(line, "snapshots")


def _restore(line: Line) -> None:
    _needs_no_input(line)
    _bot(line, "restore", snapshot="latest")


def _bot(line: Line, command: str, *, snapshot: str = "") -> None:
    from sandbox.standins.abra.commands import in_container

    log.needs_terminal_for_exec()
    app = _ensured(line)
    in_container.bot(app, command, no_input=line.has("no-input"), snapshot=snapshot)


def _ensured(line: Line) -> App:
    """Return the app, with its checkout brought to the version in its env file unless chaos."""
    app = abra_dir.home().app(line.names[0])
    version = app.env.version
    app.checkout.ensure(version, chaos=line.has("chaos"), offline=line.has("offline"))
    return app


def _needs_no_input(line: Line) -> None:
    """Refuse what would ask a person: the questions are not modelled."""
    if not line.has("no-input"):
        raise Fatal(f"'{line.command}' without --no-input is not modelled")


def _terminal_for_exec(line: Line) -> bool:
    """Return whether a command in a container gets a terminal; without one here it must not."""
    wanted = not line.has("no-tty")
    if wanted:
        log.needs_terminal_for_exec()
    return wanted


COMMANDS: dict[str, Callable[[Line], Any]] = {
    "recipe lint": _recipe_lint,
    "app new": _app_new,
    "app deploy": _app_deploy,
    "app undeploy": _app_undeploy,
    "app ls": _app_ls,
    "app ps": _app_ps,
    "app run": _app_run,
    "app cmd": _app_cmd,
    "app secret generate": _secret_generate,
    "app secret insert": _secret_insert,
    "app secret ls": _secret_ls,
    "app secret rm": _secret_rm,
    "app volume rm": _volume_rm,
    "app remove": _app_remove,
    "app backup create": _backup_create,
    "app backup snapshots": _backup_snapshots,
    "app restore": _restore,
}
