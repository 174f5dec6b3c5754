"""`app new`: writes an app's env file from the recipe's sample."""

from __future__ import annotations

from sandbox.standins.abra import log
from sandbox.standins.abra.command_line import CommandLine
from sandbox.standins.abra.commands.preconditions import require_no_input, require_terminal
from sandbox.standins.abra.files import abra_dir, compose, env_file
from sandbox.standins.abra.files.abra_dir import AbraDir
from sandbox.standins.abra.log import Fatal


def app_new(line: CommandLine) -> None:
    """Write the env file of a new app.

    Raises:
        Fatal: a wrong combination of arguments, an app that exists, or an invalid recipe.
    """
    require_terminal()
    require_no_input(line)
    folder = abra_dir.current()
    recipe, *version = line.args
    if version and line.has("chaos"):
        raise Fatal("cannot use [version] and --chaos together")
    server, domain = _server(folder, line), line.flags.get("domain")
    if not domain:
        raise Fatal("no domain provided")
    path = folder.env_path(server, domain)
    if path.exists():
        raise Fatal(f"{path} already exists?")
    checkout = folder.checkout(recipe)
    wanted = version[0] if version else ""
    checkout.ensure(wanted, chaos=line.has("chaos"), offline=line.has("offline"))
    sample = checkout.path / ".env.sample"
    if not sample.is_file():
        raise Fatal(f"{recipe} has no .env.sample")
    compose.load(compose.enabled(checkout.path, env_file.read(sample).values))
    pinned = "" if line.has("chaos") else wanted or checkout.newest_version()
    text = sample.read_text().replace(f"{recipe}.example.com", domain)
    path.write_text(env_file.pin(text, pinned or checkout.chaos_version()))
    log.info(f"new app '{domain}' created on server '{server}' with recipe '{recipe}'")


def _server(folder: AbraDir, line: CommandLine) -> str:
    known = folder.servers()
    server = line.flags.get("server") or (known[0] if len(known) == 1 else "")
    if server not in known:
        raise Fatal(f"server '{server}' doesn't exist in {folder.root / 'servers'}")
    return server
