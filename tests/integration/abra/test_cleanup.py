"""What the harness relies on in `app undeploy`, `app volume rm` and `app remove`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import AbraEnv, stack_name

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_undeploying_an_undeployed_app_is_refused(env: AbraEnv) -> None:
    """The harness reads "not deployed" as success, so the text matters."""
    env.assert_refused("app", "undeploy", "-n", env.create_app(), message="not deployed")


def test_volumes_and_secrets_survive_undeploying_and_are_removed_after_it(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.deploy(domain)
    env.wait_until_running(domain)
    volume = f"{stack_name(domain)}_content"
    env.assert_refused("app", "volume", "rm", "-n", "-f", domain, message="deployed")
    env.assert_refused("app", "remove", "-n", "-f", domain, message="deployed")
    env.run("app", "undeploy", "-n", domain)
    assert env.services(domain) == []
    assert env.volumes(domain) == [volume]
    assert len(env.secret_names(domain)) == 3
    env.run("app", "volume", "rm", "-n", "-f", domain)
    assert env.volumes(domain) == []
    env.run("app", "remove", "-n", "-f", domain)
    assert env.secret_names(domain) == []
    assert not env.env_path(domain).exists()
