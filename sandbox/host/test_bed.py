"""The test bed: a whole CI host on this machine, made and removed."""

from __future__ import annotations

import shutil

from sandbox.host import engine, images, paths, recipes_setup, services, settings
from sandbox.host.shell import run, say, works


def up() -> None:
    """Make everything that is missing; what exists stays as it is.

    Raises:
        SetupError: a part cannot be made.
    """
    engine.install_packages()
    engine.ensure_engine()
    engine.ensure_swarm()
    engine.ensure_network()
    images.ensure_images()
    services.ensure_proxy()
    services.ensure_backup_bot()
    recipes_setup.make_repositories()
    settings.write(_settings(dnsrr=not services.virtual_addresses_work()))
    say("the test bed is up: engine, swarm, proxy, backup bot, images, recipes")


def _settings(*, dnsrr: bool) -> dict[str, str]:
    """Return the settings of the product for this test bed."""
    values = {
        "CCCI_APPS_DOMAIN": paths.APPS_DOMAIN,
        "CCCI_PROXY": f"127.0.0.1:{paths.HTTPS_PORT}",
        "CCCI_PROXY_API": f"http://127.0.0.1:{paths.API_PORT}",
        "CCCI_CA_FILE": str(paths.STATE / "ca.pem"),
        "CCCI_RECIPES_URL": str(paths.RECIPES / "{recipe}"),
    }
    if shutil.which("abra") is None:
        values["CCCI_ABRA"] = str(paths.CHECKOUT / "sandbox" / "standins" / "abra" / "abra")
    if dnsrr:
        values["CCCI_ENDPOINT_MODE"] = "dnsrr"
    return values


def down() -> None:
    """Remove proxy, backup bot and their network; engine, swarm, images and cache stay."""
    for name in ("traefik", "backupbot"):
        if works(["docker", "service", "inspect", f"{name}_app"]):
            run(["docker", "stack", "rm", name], doing=f"removing stack {name}")
    if works(["docker", "network", "inspect", paths.PROXY_NETWORK]):
        run(["docker", "network", "rm", paths.PROXY_NETWORK], doing="removing network proxy")
