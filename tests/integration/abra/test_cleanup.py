"""What the harness relies on in `app undeploy`, `app volume rm` and `app remove`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import World, stack

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_undeploying_what_is_not_deployed_is_refused(world: World) -> None:
    """The harness reads "not deployed" as success, so the text matters."""
    world.refused("app", "undeploy", "-n", world.new(), saying="not deployed")


def test_an_app_goes_step_by_step(world: World) -> None:
    """Undeploying keeps data; volumes, secrets and env file go only after it."""
    domain = world.new(deployable=True)
    world.deploy(domain)
    world.running(domain)
    volume = f"{stack(domain)}_content"
    world.refused("app", "volume", "rm", "-n", "-f", domain, saying="deployed")
    world.refused("app", "remove", "-n", "-f", domain, saying="deployed")
    world.abra("app", "undeploy", "-n", domain)
    assert world.services(domain) == []
    assert world.volumes(domain) == [volume]
    assert len(world.secret_names(domain)) == 3
    world.abra("app", "volume", "rm", "-n", "-f", domain)
    assert world.volumes(domain) == []
    world.abra("app", "remove", "-n", "-f", domain)
    assert world.secret_names(domain) == []
    assert not world.env(domain).exists()
