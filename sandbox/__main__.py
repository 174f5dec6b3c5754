"""`python -m sandbox`: a whole CI host on one machine, what people try it with, and the removal of both."""

from __future__ import annotations

import shutil
import sys

from sandbox.ci.full_stack import WholeLoop
from sandbox.forge import frontend, gitea
from sandbox.host import engine, images, paths, recipes_setup, services
from sandbox.host.shell import SetupError, run, say, works
from sandbox.trials import baseline


def setup() -> None:
    """Make everything that is missing; what is there stays as it is."""
    engine.packages()
    engine.engine()
    engine.swarm()
    engine.network()
    images.all_images()
    services.proxy()
    services.backup_bot()
    recipes_setup.all_repositories()
    settings(dead=services.dead_addresses())
    say("the bench is up: engine, swarm, proxy, backup bot, images, recipes")


def settings(*, dead: bool) -> None:
    """Write what the harness has to know about this bench."""
    values = {
        "CCCI_APPS_DOMAIN": paths.APPS_DOMAIN,
        "CCCI_PROXY": f"127.0.0.1:{paths.HTTPS_PORT}",
        "CCCI_PROXY_API": f"http://127.0.0.1:{paths.API_PORT}",
        "CCCI_CA_FILE": str(paths.STATE / "ca.pem"),
        "CCCI_RECIPES_URL": str(paths.RECIPES / "{recipe}"),
    }
    if shutil.which("abra") is None:
        values["CCCI_ABRA"] = str(paths.CHECKOUT / "sandbox" / "standins" / "abra" / "abra")
    if dead:
        values["CCCI_ENDPOINT_MODE"] = "dnsrr"
    text = "# Written by the sandbox's set-up.\n" + "".join(f"{k}={v}\n" for k, v in values.items())
    paths.SETTINGS.parent.mkdir(exist_ok=True)
    if not paths.SETTINGS.exists() or paths.SETTINGS.read_text() != text:
        paths.SETTINGS.write_text(text)


def down() -> None:
    """Remove the bench's own services and network; engine, swarm, images and cache stay."""
    for name in ("traefik", "backupbot"):
        if works(["docker", "service", "inspect", f"{name}_app"]):
            run(["docker", "stack", "rm", name], doing=f"removing stack {name}")
    if works(["docker", "network", "inspect", paths.PROXY_NETWORK]):
        run(["docker", "network", "rm", paths.PROXY_NETWORK], doing="removing network proxy")


def loop() -> None:
    """Bring up forge, Drone and bridge with pull requests to try them on; what is there stays."""
    made = WholeLoop(paths.LOOP, paths.LOOP_PORT, pages=frontend.static())
    made.up()
    print(made.guide())


def loop_down() -> None:
    """End and remove what `loop` made."""
    if not paths.LOOP.exists():
        say("there is no sandbox to remove")
        return
    WholeLoop(paths.LOOP, paths.LOOP_PORT).down()
    say("forge, Drone and bridge are ended and removed; `make down` removes proxy and backup bot")


def main() -> int:
    """Run one of them; a sentence and status 1 where it cannot go on."""
    commands = {
        "setup": setup,
        "forge": gitea.set_up,
        "down": down,
        "floor": baseline.main,
        "loop": loop,
        "loop-down": loop_down,
    }
    word = sys.argv[1] if len(sys.argv) == 2 else ""
    if word not in commands:
        print(f"usage: python -m sandbox {'|'.join(commands)}", file=sys.stderr)
        return 4
    try:
        commands[word]()
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
