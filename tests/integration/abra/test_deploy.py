"""What the harness relies on in `app deploy`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import NEW, OLD, STAND_IN, World, stack
from tests.integration.abra.conftest import Live

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_a_missing_secret_stops_the_deploy(world: World) -> None:
    """Nothing is deployed as long as a secret is not there."""
    domain = world.new()
    world.abra("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    words = ["app", "deploy", "-n", "-o", "-C", "-D", "-c", domain]
    world.refused(*words, saying="not inserted")
    assert world.services(domain) == []


def test_a_chaos_deploy_is_labelled_with_the_head(live: Live) -> None:
    """The label proves which commit runs; the recipe's own version label stays."""
    labels = live.world.labels(live.domain)
    assert labels["chaos"] == "true"
    assert live.world.head().startswith(labels["chaos-version"])
    assert len(labels["chaos-version"]) >= 7
    assert labels["version"] == "0.3.0+1.22.1"
    assert labels["recipe"] == "contract"
    assert labels["timeout"] == "60"


def test_the_env_file_names_what_was_deployed(live: Live) -> None:
    """After a chaos deploy the recipe's line carries the short hash."""
    text = live.world.env(live.domain).read_text()
    assert f"=contract:{live.world.head()[:7]}" in text


def test_exports_of_abra_sh_reach_the_compose_file(live: Live) -> None:
    """A config's version comes from abra.sh."""
    names = [config.name for config in live.world.api.configs.list()]
    assert f"{stack(live.domain)}_conf_v7" in names


def test_a_dirty_tree_is_marked(world: World) -> None:
    """An untracked file adds +U to the label; without chaos it refuses the deploy."""
    domain = world.new(deployable=True)
    (world.checkout / "compose.ci.yml").write_text('version: "3.8"\nservices: {}\n')
    world.deploy(domain)
    label = world.labels(domain)["chaos-version"]
    assert label.endswith("+U")
    assert world.head().startswith(label.removesuffix("+U"))
    words = ["app", "deploy", "-n", "-o", "-f", "-D", "-c", domain]
    world.refused(*words, saying="unstaged changes")


def test_an_app_is_not_deployed_twice_without_being_told(world: World) -> None:
    """A plain deploy of a deployed app is refused; with force it goes through."""
    domain = world.new(deployable=True)
    world.git("checkout", "--quiet", NEW)
    world.deploy(domain)
    words = ["app", "deploy", "-n", "-o", "-D", "-c"]
    world.refused(*words, domain, saying="already deployed")
    world.abra(*words, "-f", domain)
    assert world.labels(domain)["chaos"] == "false"


def test_a_version_is_checked_out_and_deployed(world: World) -> None:
    """`app deploy D <version>` moves HEAD to that version and labels it."""
    domain = world.new(deployable=True)
    world.abra("app", "deploy", "-n", "-o", "-D", "-c", domain, OLD)
    assert world.head() == world.git("rev-parse", f"{OLD}^{{commit}}")
    assert world.labels(domain)["version"] == OLD
    assert f"=contract:{OLD}" in world.env(domain).read_text()


def test_a_lightweight_tag_refuses_every_release_deploy(world: World) -> None:
    """One lightweight version tag anywhere is enough (R014); chaos does not care."""
    domain = world.new(deployable=True)
    world.git("tag", "0.0.9+1.22.1")
    world.refused("app", "deploy", "-n", "-o", "-D", "-c", domain, OLD, saying="R014|lint|tag")
    world.deploy(domain)
    assert world.services(domain) == [f"{stack(domain)}_app"]


def test_offline_needs_no_origin(world: World) -> None:
    """With `-o` or `-C` a dead origin does not matter; without them it is fatal."""
    domain = world.new()
    world.git("remote", "set-url", "origin", str(world.root / "gone"))
    world.abra("app", "secret", "ls", "-n", "-o", "-C", "-m", domain)
    world.refused("app", "secret", "ls", "-n", "-m", domain, saying="")


def test_compose_file_enables_overlays_and_dropped_services_stay(world: World) -> None:
    """A service enabled by COMPOSE_FILE runs, and outlives its removal: nothing is pruned."""
    domain = world.new(deployable=True)
    world.set_env(domain, "COMPOSE_FILE", "compose.yml:compose.second.yml")
    world.deploy(domain)
    both = [f"{stack(domain)}_app", f"{stack(domain)}_second"]
    assert world.services(domain) == both
    world.set_env(domain, "COMPOSE_FILE", "compose.yml")
    world.deploy(domain)
    assert world.services(domain) == both


def test_the_specification_is_applied_even_when_the_wait_fails(world: World) -> None:
    """A deploy that does not converge ends with FATA and leaves its services behind."""
    domain = world.new(deployable=True)
    path = world.checkout / "compose.yml"
    path.write_text(path.read_text().replace("secrets: [", 'command: ["false"]\n    secrets: ['))
    world.set_env(domain, "TIMEOUT", "5")
    world.refused("app", "deploy", "-n", "-o", "-C", "-D", domain, saying="")
    assert world.services(domain) == [f"{stack(domain)}_app"]


def test_post_deploy_commands_run_only_with_the_wait(world: World) -> None:
    """With `-c` the recipe's POST_DEPLOY_CMDS are left out; without it they run."""
    domain = world.new(deployable=True)
    world.set_env(domain, "POST_DEPLOY_CMDS", '"app greet one"')
    world.set_env(domain, "POST_UPGRADE_CMDS", '"app greet two"')
    assert "greet app=" not in world.deploy(domain).text
    done = world.abra("app", "deploy", "-n", "-o", "-C", "-D", domain)
    assert f"greet app={domain}" in done.text


def test_the_endpoint_mode_of_the_machine_goes_with_every_deploy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where virtual addresses are dead the stand-in has services resolve to their tasks."""
    if world.program != str(STAND_IN):
        pytest.skip("only the stand-in knows CCCI_ENDPOINT_MODE")
    domain = world.new(deployable=True)
    monkeypatch.setenv("CCCI_ENDPOINT_MODE", "dnsrr")
    world.deploy(domain)
    service = world.api.services.get(f"{stack(domain)}_app")
    assert service.attrs["Spec"]["EndpointSpec"]["Mode"] == "dnsrr"


def test_a_duration_with_a_variable_is_fatal(world: World) -> None:
    """Durations are checked before variables are replaced."""
    path = world.checkout / "compose.yml"
    path.write_text(path.read_text().replace("interval: 1s", 'interval: "${EVERY}"'))
    words = ["app", "new", "-n", "-o", "-C", "-s", "default", "-D", world.domain(), "contract"]
    world.refused(*words, saying="duration")
