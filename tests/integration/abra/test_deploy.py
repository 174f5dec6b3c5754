"""What the harness relies on in `app deploy`."""

from __future__ import annotations

import pytest

from tests.integration.abra.abra_env import NEW, OLD, STAND_IN, AbraEnv, stack_name
from tests.integration.abra.conftest import SharedApp

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_a_missing_secret_stops_the_deploy(env: AbraEnv) -> None:
    domain = env.create_app()
    env.run("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    words = ["app", "deploy", "-n", "-o", "-C", "-D", "-c", domain]
    env.assert_refused(*words, message="not inserted")
    assert env.services(domain) == []


def test_a_chaos_deploy_is_labelled_with_the_head(shared_app: SharedApp) -> None:
    """The label proves which commit runs; the recipe's own version label stays."""
    labels = shared_app.env.labels(shared_app.domain)
    assert labels["chaos"] == "true"
    assert shared_app.env.head().startswith(labels["chaos-version"])
    assert len(labels["chaos-version"]) >= 7
    assert labels["version"] == "0.3.0+1.22.1"
    assert labels["recipe"] == "contract"
    assert labels["timeout"] == "60"


def test_a_chaos_deploy_writes_the_short_hash_into_the_env_file(shared_app: SharedApp) -> None:
    text = shared_app.env.env_path(shared_app.domain).read_text()
    assert f"=contract:{shared_app.env.head()[:7]}" in text


def test_exports_of_abra_sh_reach_the_compose_file(shared_app: SharedApp) -> None:
    names = [config.name for config in shared_app.env.api.configs.list()]
    assert f"{stack_name(shared_app.domain)}_conf_v7" in names


def test_an_untracked_file_adds_u_to_the_label(env: AbraEnv) -> None:
    """Without chaos it stops the deploy."""
    domain = env.create_app(deployable=True)
    (env.checkout / "compose.ci.yml").write_text('version: "3.8"\nservices: {}\n')
    env.deploy(domain)
    label = env.labels(domain)["chaos-version"]
    assert label.endswith("+U")
    assert env.head().startswith(label.removesuffix("+U"))
    words = ["app", "deploy", "-n", "-o", "-f", "-D", "-c", domain]
    env.assert_refused(*words, message="unstaged changes")


def test_a_second_deploy_needs_force(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.git("checkout", "--quiet", NEW)
    env.deploy(domain)
    words = ["app", "deploy", "-n", "-o", "-D", "-c"]
    env.assert_refused(*words, domain, message="already deployed")
    env.run(*words, "-f", domain)
    assert env.labels(domain)["chaos"] == "false"


def test_a_named_version_is_checked_out_and_deployed(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.run("app", "deploy", "-n", "-o", "-D", "-c", domain, OLD)
    assert env.head() == env.git("rev-parse", f"{OLD}^{{commit}}")
    assert env.labels(domain)["version"] == OLD
    assert f"=contract:{OLD}" in env.env_path(domain).read_text()


def test_a_lightweight_tag_stops_every_release_deploy(env: AbraEnv) -> None:
    """Lint rule R014: one lightweight version tag is enough. A chaos deploy ignores it."""
    domain = env.create_app(deployable=True)
    env.git("tag", "0.0.9+1.22.1")
    env.assert_refused(
        "app", "deploy", "-n", "-o", "-D", "-c", domain, OLD, message="R014|lint|tag"
    )
    env.deploy(domain)
    assert env.services(domain) == [f"{stack_name(domain)}_app"]


def test_with_offline_and_chaos_origin_is_not_needed(env: AbraEnv) -> None:
    domain = env.create_app()
    env.git("remote", "set-url", "origin", str(env.root / "gone"))
    env.run("app", "secret", "ls", "-n", "-o", "-C", "-m", domain)
    env.assert_refused("app", "secret", "ls", "-n", "-m", domain, message="")


def test_a_service_removed_from_compose_file_keeps_running(env: AbraEnv) -> None:
    """abra deploys without pruning."""
    domain = env.create_app(deployable=True)
    env.set_env(domain, "COMPOSE_FILE", "compose.yml:compose.second.yml")
    env.deploy(domain)
    both = [f"{stack_name(domain)}_app", f"{stack_name(domain)}_second"]
    assert env.services(domain) == both
    env.set_env(domain, "COMPOSE_FILE", "compose.yml")
    env.deploy(domain)
    assert env.services(domain) == both


def test_a_deploy_that_does_not_converge_leaves_its_services(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    path = env.checkout / "compose.yml"
    path.write_text(path.read_text().replace("secrets: [", 'command: ["false"]\n    secrets: ['))
    env.set_env(domain, "TIMEOUT", "5")
    env.assert_refused("app", "deploy", "-n", "-o", "-C", "-D", domain, message="")
    assert env.services(domain) == [f"{stack_name(domain)}_app"]


def test_post_deploy_commands_run_only_with_converge_checks(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.set_env(domain, "POST_DEPLOY_CMDS", '"app greet one"')
    env.set_env(domain, "POST_UPGRADE_CMDS", '"app greet two"')
    assert "greet app=" not in env.deploy(domain).text
    done = env.run("app", "deploy", "-n", "-o", "-C", "-D", domain)
    assert f"greet app={domain}" in done.text


def test_every_deploy_gets_the_endpoint_mode_of_the_machine(
    env: AbraEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a kernel without IPVS the stand-in lets services resolve to the addresses of their tasks."""
    if env.program != str(STAND_IN):
        pytest.skip("only the stand-in knows CCCI_ENDPOINT_MODE")
    domain = env.create_app(deployable=True)
    monkeypatch.setenv("CCCI_ENDPOINT_MODE", "dnsrr")
    env.deploy(domain)
    service = env.api.services.get(f"{stack_name(domain)}_app")
    assert service.attrs["Spec"]["EndpointSpec"]["Mode"] == "dnsrr"


def test_a_duration_with_a_variable_is_fatal(env: AbraEnv) -> None:
    """abra checks durations before it replaces variables."""
    path = env.checkout / "compose.yml"
    path.write_text(path.read_text().replace("interval: 1s", 'interval: "${EVERY}"'))
    words = ["app", "new", "-n", "-o", "-C", "-s", "default", "-D", env.new_domain(), "contract"]
    env.assert_refused(*words, message="duration")
