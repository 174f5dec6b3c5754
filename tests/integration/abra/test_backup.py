"""What the harness relies on in `app backup` and `app restore`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import AbraEnv

pytestmark = [pytest.mark.swarm, pytest.mark.contract]
BOT = "coop-cloud.backupbot.enabled=true"


@pytest.fixture
def bot(env: AbraEnv) -> None:
    """Skip where no backup bot runs."""
    if not env.api.services.list(filters={"label": BOT}):
        pytest.skip("no backup bot runs on this server")


def inside(env: AbraEnv, domain: str, line: str) -> str:
    """Run a line of shell in the app's container."""
    words = ["app", "run", "-n", "-t", domain, "app", "--", "sh", "-c", line]
    return env.run(*words).out


@pytest.mark.usefixtures("bot")
def test_a_restore_brings_back_the_backed_up_file(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.deploy(domain)
    env.wait_until_running(domain)
    inside(env, domain, "echo before > /data/marker")
    env.run("app", "backup", "create", "-n", domain)
    snapshots = env.run("app", "backup", "snapshots", "-n", domain).text
    assert domain.replace(".", "_") in snapshots
    inside(env, domain, "echo after > /data/marker")
    env.run("app", "restore", "-n", "-C", domain)
    assert "before" in inside(env, domain, "cat /data/marker")


def test_without_a_bot_a_backup_is_fatal(env: AbraEnv) -> None:
    if env.api.services.list(filters={"label": BOT}):
        pytest.skip("a backup bot runs on this server")
    env.assert_refused("app", "backup", "create", "-n", env.create_app(), message="backup")
