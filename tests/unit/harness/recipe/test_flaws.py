"""Mistakes in compose files are found before a deployment."""

import json
from pathlib import Path

import pytest

from harness.recipe import flaws
from tests.unit.harness.recipe.compose_files import load, service


@pytest.mark.parametrize(
    "body",
    [
        "{image: a, healthcheck: {start_period: '${START:-1m}'}}",
        "{image: a, healthcheck: {interval: $I}}",
        "{image: a, stop_grace_period: '${GRACE}'}",
        "{image: a, deploy: {update_config: {monitor: '${M}'}}}",
        "{image: a, deploy: {restart_policy: {delay: '${D}'}}}",
    ],
)
def test_a_variable_in_a_duration_is_found(tmp_path: Path, body: str) -> None:
    """abra checks durations before it replaces variables (incident R5)."""
    (problem,) = flaws.durations(service(tmp_path, body))
    assert problem.startswith("'compose.yml': ")
    assert "of service 'app' is '$" in problem
    assert problem.endswith("write the value itself")


@pytest.mark.parametrize(
    "body",
    [
        "{image: a, healthcheck: {start_period: 15m}}",
        "{image: a, healthcheck: {retries: '${R}'}}",
        "{image: a, healthcheck: {interval: 5s$$}}",
        "{image: a}",
    ],
)
def test_variables_outside_of_durations_are_allowed(tmp_path: Path, body: str) -> None:
    assert flaws.durations(service(tmp_path, body)) == []


def test_a_missing_host_path_is_named(tmp_path: Path) -> None:
    """NixOS has no /etc/timezone (incident S5)."""
    body = "{image: a, volumes: ['/etc/timezone:/etc/timezone:ro', '/etc/hosts:/h', 'data:/data']}"
    (problem,) = flaws.missing_binds(service(tmp_path, body), lambda path: path == "/etc/hosts")
    assert problem.startswith("service 'app' mounts the host path '/etc/timezone', which does not")


@pytest.mark.parametrize(
    ("image", "moves"),
    [
        ("nginx", True),
        ("nginx:latest", True),
        ("registry.example:5000/nginx", True),
        ("nginx:1.22.1", False),
        ("registry.example:5000/nginx:1", False),
        ("nginx@sha256:" + "a" * 64, False),
    ],
)
def test_a_moving_tag_gives_a_warning(tmp_path: Path, image: str, moves: bool) -> None:
    """An operator may get another image than the one that was tested (incident L9)."""
    found = flaws.warnings(service(tmp_path, f"{{image: '{image}'}}"))
    assert [("can change at any time" in text) for text in found] == [True] * moves


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("{environment: [A=1]}", "service 'app' has no image"),
        ("{image: 'a:1', depends_on: [sidekiq]}", "depends on 'sidekiq', which is not a service"),
        (
            "{image: 'a:1', deploy: {labels: ['backupbot.backup.volumes.pg.path=x']}}",
            "but does not mount volume 'pg'",
        ),
    ],
)
def test_names_of_missing_objects_give_a_warning(tmp_path: Path, body: str, warning: str) -> None:
    (found,) = flaws.warnings(service(tmp_path, body))
    assert warning in found


@pytest.mark.parametrize(
    ("networks", "variable", "found"),
    [
        ("[proxy, internal]", "DB_HOST: db", True),
        ("[proxy]", "DATABASE_URL: 'postgres://u:p@db:5432/x'", True),
        ("[proxy]", "UPSTREAM: 'http://db/path'", True),
        ("{proxy: {}}", "CACHE: 'db:6379'", True),
        ("[proxy]", "DB_HOST: '${STACK_NAME}_db'", False),
        ("[internal]", "DB_HOST: db", False),
        ("[proxy]", "DB_TYPE: db", False),
        ("[proxy]", "DOMAIN: db.example.com", False),
        ("[proxy]", "URL: 'https://example.com/db/'", False),
    ],
)
def test_incident_n1_a_short_host_name_on_the_proxy_network_gives_a_warning(
    tmp_path: Path, networks: str, variable: str, found: bool
) -> None:
    """N1: on network `proxy`, a service of another stack with the same short name may answer."""
    key, value = variable.split(": ", 1)
    listed = f"[{json.dumps(key + '=' + value.strip(chr(39)))}]"
    for environment in (f"{{{variable}}}", listed):
        app = f"{{image: 'a:1', networks: {networks}, environment: {environment}}}"
        text = f"services: {{app: {app}, db: {{image: 'b:1'}}}}\n"
        warned = flaws.warnings(load(tmp_path, text, {"STACK_NAME": "s"}))
        assert ["any other stack on network 'proxy'" in line for line in warned] == [True] * found


NAMED = """
services: {app: {image: a}}
secrets:
  key: {external: true, name: "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}
configs:
  conf: {file: x, name: "${STACK_NAME}_conf_${CONF_VERSION}"}
networks:
  proxy: {external: true}
  internal:
"""
VERSIONS = {"STACK_NAME": "x", "SECRET_KEY_VERSION": "v1", "CONF_VERSION": "v2"}


@pytest.mark.parametrize(
    ("length", "problems"),
    [
        (20, []),
        (54, []),
        (55, ["network"]),
        (57, ["config", "network"]),
        (58, ["secret", "config", "network"]),
        (60, ["service", "secret", "config", "network"]),
    ],
)
def test_names_over_dockers_limits_are_found(
    tmp_path: Path, length: int, problems: list[str]
) -> None:
    """64 characters for secrets and configs, 63 for services and networks."""
    found = flaws.names(load(tmp_path, NAMED, VERSIONS), "s" * length)
    assert [text.partition(" ")[0] for text in found] == problems


def test_a_name_that_is_too_long_is_reported_with_its_length(tmp_path: Path) -> None:
    found = flaws.names(load(tmp_path, NAMED, VERSIONS), "s" * 59)
    name = "s" * 59 + "_key_v1"
    assert f"secret '{name}' is 2 characters too long: it has 66, Docker allows 64" in found


def test_a_missing_version_of_a_config_is_found(tmp_path: Path) -> None:
    """The name would end in `_`, which Docker refuses late and with another reason."""
    (problem,) = flaws.names(load(tmp_path, NAMED, {**VERSIONS, "CONF_VERSION": ""}), "x")
    assert problem.startswith("Docker does not accept 'x_conf_' as the name of a config")
    assert problem.endswith("is its version set in .env.sample or abra.sh?")


NODES = [
    {"node.id": "a1", "node.hostname": "One", "node.role": "manager", "node.labels.disk": "ssd"},
    {"node.id": "b2", "node.hostname": "two", "node.role": "worker"},
]


@pytest.mark.parametrize(
    ("constraints", "can"),
    [
        ("[]", True),
        ("[node.role == manager]", True),
        ("['node.role==manager', 'node.hostname != two']", True),
        ("['node.hostname == one']", True),
        ("['node.labels.disk == ssd']", True),
        ("['node.labels.disk != ssd']", True),
        ("['node.platform.arch == vax', 'what is this']", True),
        ("['node.labels.gpu == yes']", False),
        ("['node.role == worker', 'node.labels.disk == ssd']", False),
        ("['node.id != a1', 'node.id != b2']", False),
        ("['engine.labels.x == 1']", False),
    ],
)
def test_a_service_that_no_node_may_run_is_found(
    tmp_path: Path, constraints: str, can: bool
) -> None:
    """Swarm would wait forever. All constraints must hold on one node; unknown ones are left to Swarm."""
    found = service(
        tmp_path, f"{{image: a, deploy: {{placement: {{constraints: {constraints}}}}}}}"
    )
    problems = flaws.placements(found, NODES)
    assert [("wait forever" in text) for text in problems] == ([] if can else [True])
