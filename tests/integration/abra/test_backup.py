"""What the harness relies on in `app backup` and `app restore`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import World

pytestmark = [pytest.mark.swarm, pytest.mark.contract]
BOT = "coop-cloud.backupbot.enabled=true"


@pytest.fixture
def bot(world: World) -> None:
    """Skip where no backup bot runs."""
    if not world.api.services.list(filters={"label": BOT}):
        pytest.skip("no backup bot runs on this server")


def inside(world: World, domain: str, line: str) -> str:
    """Run a line of shell in the app's container."""
    words = ["app", "run", "-n", "-t", domain, "app", "--", "sh", "-c", line]
    return world.abra(*words).out


@pytest.mark.usefixtures("bot")
def test_a_restore_brings_back_what_the_backup_took(world: World) -> None:
    """A file changed after the backup is as before after the restore."""
    domain = world.new(deployable=True)
    world.deploy(domain)
    world.running(domain)
    inside(world, domain, "echo before > /data/marker")
    world.abra("app", "backup", "create", "-n", domain)
    snapshots = world.abra("app", "backup", "snapshots", "-n", domain).text
    assert domain.replace(".", "_") in snapshots
    inside(world, domain, "echo after > /data/marker")
    world.abra("app", "restore", "-n", "-C", domain)
    assert "before" in inside(world, domain, "cat /data/marker")


def test_without_a_bot_a_backup_is_fatal(world: World) -> None:
    """Where no service is labelled as the bot, abra says so."""
    if world.api.services.list(filters={"label": BOT}):
        pytest.skip("a backup bot runs on this server")
    world.refused("app", "backup", "create", "-n", world.new(), saying="backup")
