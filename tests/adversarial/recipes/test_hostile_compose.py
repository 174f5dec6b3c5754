"""Compose files that ask for access to the host are refused, also if they try to hide it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.recipe import hazards
from tests.adversarial.recipes.hostile import (
    BOMB,
    SAMPLE,
    STACK,
    abra_calls,
    compose,
    install,
    refusal,
)

pytestmark = pytest.mark.usefixtures("no_docker")
OWN = f"{STACK}_x"
HAZARDOUS = [
    ("docker-socket", "{volumes: ['/var/run/docker.sock:/s']}", "volumes"),
    ("docker-socket", "{volumes: ['/var/run/../run/docker.sock:/s:ro']}", "volumes"),
    ("docker-socket", "{volumes: [{type: bind, source: /run, target: /r}]}", "volumes"),
    ("docker-socket", "{volumes: ['/var/run:/r']}", "volumes"),
    ("docker-socket", "{volumes: ['/var:/v']}", "volumes"),
    ("docker-socket", "{volumes: ['/proc/1/root/run/docker.sock:/s']}", "volumes"),
    ("host-root", "{volumes: ['/:/host']}", "volumes"),
    ("host-root", "{volumes: ['//:/host']}", "volumes"),
    ("host-root", "{volumes: ['/.:/host:ro']}", "volumes"),
    ("host-root", "{volumes: ['//etc/shadow:/s:ro']}", "volumes"),
    ("host-root", "{volumes: ['/root/.ssh:/s']}", "volumes"),
    ("host-root", "{volumes: ['../../../..:/host']}", "volumes"),
    ("host-root", "{volumes: ['../../elsewhere:/x']}", "volumes"),
    ("host-root", "{volumes: ['~/.ssh:/s']}", "volumes"),
    ("host-root", "{volumes: ['.:/checkout']}", "volumes"),
    ("host-root", "{volumes: ['/var/lib/docker/volumes:/v']}", "volumes"),
    ("host-root", "{volumes: [{type: bind, source: /etc/localtime/.., target: /e, read_only: true}]}",
     "volumes"),
    ("bind", "{volumes: ['/srv:/srv']}", "volumes"),
    ("bind", "{volumes: [{source: /srv, target: /srv}]}", "volumes"),
    ("bind", "{volumes: ['/etc/../srv/x:/srv']}", "volumes"),
    ("bind", "{volumes: ['./hooks:/h']}", "volumes"),
    ("host-root", "{volumes: ['/etc/timezone:/etc/timezone']}", "volumes"),
    ("bind", "{volumes: [{type: npipe, source: x, target: /x}]}", "volumes"),
    ("bind", "{volumes: [{type: cluster, source: x, target: /x}]}", "volumes"),
    ("bind", "{volumes: ['${NOWHERE}srv/x:/x']}", "volumes"),
    ("device", "{volumes: ['/dev:/dev']}", "volumes"),
    ("device", "{volumes: ['/dev/sda:/disk']}", "volumes"),
    ("device", "{devices: ['/dev/sda:/dev/sda']}", "devices"),
    ("device", "{device_cgroup_rules: ['a *:* rwm']}", "device_cgroup_rules"),
    ("device", "{gpus: all}", "gpus"),
    ("device", "{runtime: nvidia}", "runtime"),
    ("privileged", "{privileged: true}", "privileged"),
    ("privileged", "{privileged: 'yes'}", "privileged"),
    ("privileged", "{privileged: '${P:-1}'}", "privileged"),
    ("host-namespace", "{network_mode: host}", "network_mode"),
    ("host-namespace", "{network_mode: 'container:abc'}", "network_mode"),
    ("host-namespace", "{networks: [host]}", "networks"),
    ("host-namespace", "{networks: {host: {aliases: [x]}}}", "networks"),
    ("host-namespace", "{pid: host}", "pid"),
    ("host-namespace", "{pid: 'container:abc'}", "pid"),
    ("host-namespace", "{ipc: host}", "ipc"),
    ("host-namespace", "{userns_mode: host}", "userns_mode"),
    ("host-namespace", "{uts: host}", "uts"),
    ("host-namespace", "{cgroup: host}", "cgroup"),
    ("host-namespace", "{cgroupns_mode: host}", "cgroupns_mode"),
    ("host-namespace", "{cgroup_parent: /}", "cgroup_parent"),
    ("capability", "{cap_add: [SYS_ADMIN]}", "cap_add"),
    ("capability", "{cap_add: [ALL]}", "cap_add"),
    ("security-option", "{security_opt: ['apparmor=unconfined']}", "security_opt"),
    ("security-option", "{security_opt: ['seccomp:unconfined']}", "security_opt"),
    ("security-option", "{security_opt: ['no-new-privileges:false']}", "security_opt"),
    ("security-option", "{credential_spec: {file: x.json}}", "credential_spec"),
    ("sysctl", "{sysctls: {net.ipv4.ip_forward: 1}}", "sysctls"),
    ("sysctl", "{sysctls: ['kernel.shm_rmid_forced=0']}", "sysctls"),
    ("published-port", "{ports: ['2222:22']}", "ports"),
    ("published-port", "{ports: [8080]}", "ports"),
    ("published-port", "{ports: [{target: 22, published: 22, mode: host}]}", "ports"),
    ("many-tasks", "{deploy: {replicas: 11}}", "deploy.replicas"),
    ("many-tasks", "{deploy: {replicas: 999999999999999999999}}", "deploy.replicas"),
    ("many-tasks", "{deploy: {replicas: '${N:-0x7fff}'}}", "deploy.replicas"),
    ("many-tasks", "{deploy: {replicas: '00000000000099'}}", "deploy.replicas"),
    ("many-tasks", "{deploy: {replicas: '٣'}}", "deploy.replicas"),
    ("many-tasks", "{deploy: {replicas: -1}}", "deploy.replicas"),
    ("outside-file", "{env_file: /etc/shadow}", "env_file"),
    ("outside-file", "{env_file: [.env.sample, ../../../../etc/shadow]}", "env_file"),
    ("outside-file", "{env_file: {path: .git/config}}", "env_file"),
    ("outside-file", "{deploy: {labels: ['backupbot.backup.volumes.data.path=../other/_data']}}",
     "deploy.labels"),
    ("outside-file", "{deploy: {labels: {backupbot.backup.path: /data/../../x}}}", "deploy.labels"),
    ("outside-file", "{deploy: {labels: ['Backupbot.backup.path=/data,../x']}}", "deploy.labels"),
    ("host-role", "{deploy: {labels: ['coop-cloud.backupbot.enabled=true']}}", "deploy.labels"),
    ("host-role", "{deploy: {labels: {coop-cloud.backupbot.enabled: true}}}", "deploy.labels"),
    ("host-role", "{deploy: {labels: {Coop-Cloud.Backupbot.Enabled: true}}}", "deploy.labels"),
    ("build", "{build: .}", "build"),
    ("include", "{extends: {file: /etc/x.yml, service: app}}", "extends"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "service", "key"), HAZARDOUS)
def test_a_service_that_asks_for_access_to_the_host_is_refused(
    tmp_path: Path, kind: str, service: str, key: str
) -> None:
    """The message names file, service and key, and how to allow it."""
    message = refusal(tmp_path, {"compose.yml": compose(service)})
    assert f"compose.yml: services.app.{key}" in message
    assert f"({kind})" in message
    assert "Nothing was deployed" in message
    assert f"'allow: [{kind}]'" in message


SHARED = [
    ("bind", "volumes", {"x": {"driver_opts": {"type": "none", "o": "bind", "device": "/srv"}}}),
    ("host-root", "volumes", {"x": {"driver_opts": {"o": "bind", "device": "/"}}}),
    ("bind", "volumes", {"x": {"driver_opts": {"o": "ro,bind", "device": "srv"}}}),
    ("host-root", "volumes", {"x": {"driver_opts": {"device": "//etc"}}}),
    ("volume-driver", "volumes", {"x": {"driver_opts": {"type": "nfs", "device": ":/export"}}}),
    ("volume-driver", "volumes", {"x": {"driver": "rclone"}}),
    ("foreign-object", "volumes", {"x": {"external": True, "name": "gitea_data"}}),
    ("foreign-object", "volumes", {"gitea_data": {"external": "true"}}),
    ("foreign-object", "volumes", {"x": {"external": {"name": "gitea_data"}}}),
    ("foreign-object", "volumes", {OWN: {"external": {"name": "gitea_data"}}}),
    ("fixed-name", "volumes", {"x": {"name": "gitea_data"}}),
    ("fixed-name", "volumes", {"x": {"name": f"{STACK}2_data"}}),
    ("foreign-object", "secrets", {"x": {"external": True, "name": "drone_rpc_v1"}}),
    ("foreign-object", "secrets", {"drone_rpc_v1": {"external": True}}),
    ("foreign-object", "configs", {"x": {"external": True, "name": "traefik_users_v1"}}),
    ("fixed-name", "configs", {"x": {"file": "compose.yml", "name": "traefik_users_v1"}}),
    ("outside-file", "secrets", {"x": {"file": "/etc/shadow"}}),
    ("outside-file", "configs", {"x": {"file": "../../../../../etc/shadow", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": ".git/config", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "~/.ssh/id_ed25519", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "${NOWHERE}/etc/shadow", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "$$HOME/.ssh/id_ed25519", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "..\\..\\shadow", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "conf\0.tmpl", "name": OWN}}),
    ("outside-file", "configs", {"x": {"file": "", "name": OWN}}),
    ("outside-file", "secrets", {"x": {"environment": "DRONE_TOKEN"}}),
    ("outside-file", "secrets", {"x": {"driver": "vault", "name": OWN}}),
    ("foreign-object", "networks", {"x": {"external": True, "name": "gitea_internal"}}),
    ("foreign-object", "networks", {"docker_gwbridge": {"external": True}}),
    ("host-namespace", "networks", {"x": {"external": True, "name": "host"}}),
    ("fixed-name", "networks", {"x": {"name": "gitea_internal"}}),
    ("fixed-name", "networks", {"x": {"name": "proxy"}}),
    ("network-driver", "networks", {"x": {"driver": "macvlan"}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "section", "body"), SHARED)
def test_objects_and_files_of_others_are_refused(
    tmp_path: Path, kind: str, section: str, body: dict[str, object]
) -> None:
    """Another stack's secret or volume, a file of the host, a driver with access to it."""
    message = refusal(tmp_path, {"compose.yml": compose("", **{section: body})})
    assert f"compose.yml: {section}.{next(iter(body))}" in message
    assert f"({kind})" in message


@pytest.mark.parametrize("kind", sorted(hazards.HAZARDS))
def test_every_kind_of_hazard_is_tested(kind: str) -> None:
    tested = {kind for kind, *_ in (*HAZARDOUS, *SHARED)}
    assert kind in tested | {"shell"}  # abra.sh has tests of its own


def test_an_include_is_refused(tmp_path: Path) -> None:
    """The included files would not be checked."""
    text = compose() + "include: [/etc/compose.yml]\n"
    assert "compose.yml: include: includes other files (include)" in refusal(
        tmp_path, {"compose.yml": text}
    )


def test_a_suite_can_allow_a_hazard(tmp_path: Path) -> None:
    """All other hazards are still refused."""
    text = compose("{ports: ['53:53'], cap_add: [NET_ADMIN]}")
    assert abra_calls(
        install(tmp_path / "a", {"compose.yml": text}, allow=["published-port", "capability"])
    )
    message = refusal(tmp_path / "b", {"compose.yml": text}, allow=["published-port"])
    assert "(capability)" in message and "published-port" not in message


def test_an_overlay_cannot_hide_a_hazard_of_the_main_file(tmp_path: Path) -> None:
    """Each file is checked as written; an overlay is checked if COMPOSE_FILE enables it."""
    files = {
        "compose.yml": compose("{volumes: ['/:/data']}"),
        "compose.override.yml": compose("{volumes: ['data:/data']}", volumes={"data": None}),
        ".env.sample": f'{SAMPLE}COMPOSE_FILE="compose.yml:compose.override.yml"\n',
    }
    assert "compose.yml: services.app.volumes" in refusal(tmp_path / "a", files)
    files |= {"compose.yml": compose(), "compose.override.yml": compose("{volumes: ['/:/data']}")}
    assert "compose.override.yml: services.app.volumes" in refusal(tmp_path / "b", files)


@pytest.mark.parametrize(
    ("sample", "script"),
    [
        ("SRC=/", ""),
        ("SRC=data", "export SRC=/\n"),
        ("SRC=/", "export SRC=data\n"),
        ("OTHER=x", "export SRC=data\n"),
        ("SRC=data\nSRC=/", ""),
        ("A=/\nSRC=${A}", ""),
        ("SRC=${NOWHERE}/", ""),
    ],
)
def test_a_variable_cannot_hide_a_mount(tmp_path: Path, sample: str, script: str) -> None:
    """It is found if abra prefers the sample or abra.sh, and however abra treats unknown references."""
    files = {
        "compose.yml": compose("{volumes: ['${SRC:-/}:/data']}", volumes={"data": None}),
        ".env.sample": f"{SAMPLE}{sample}\n",
        "abra.sh": script,
    }
    assert "(host-root)" in refusal(tmp_path, files)


def test_an_allowed_abra_sh_cannot_give_the_app_another_stacks_name(tmp_path: Path) -> None:
    """In abra, exports of abra.sh override the app's values, and with them the owner of a secret."""
    files = {
        "compose.yml": compose(
            secrets={"x": {"external": True, "name": "${STACK_NAME}_users_v1"}},
        ),
        "abra.sh": "true\nexport STACK_NAME=traefik_ci_test\n",
    }
    message = refusal(tmp_path, files, allow=["shell"])
    assert "compose.yml: secrets.x: is 'traefik_ci_test_users_v1'" in message


@pytest.mark.parametrize(
    ("service", "key"),
    [
        ("{image: a, volumes: ['data:/data'], <<: [*more]}", "volumes"),
        ("{image: a, volumes: [{type: volume, target: /d, source: data, <<: *mount}]}", "source"),
    ],
    ids=["in a service", "in a list"],
)
def test_a_merge_cannot_hide_a_mount(tmp_path: Path, service: str, key: str) -> None:
    """In some YAML libraries a later `<<` wins over earlier keys, in others it does not."""
    text = (
        "x-evil: &evil {volumes: ['/:/host']}\nx-more: &more {<<: *evil, x: &mount {source: /}}\n"
        f"services: {{app: {service}}}\nvolumes: {{data: }}\n"
    )
    message = refusal(tmp_path, {"compose.yml": text})
    assert f"'compose.yml' of the recipe, line 3: '<<' comes after the key '{key}'" in message


def test_a_placement_that_no_node_meets_is_refused(tmp_path: Path) -> None:
    """Swarm would wait for such a node forever."""
    text = compose("{deploy: {placement: {constraints: ['node.labels.gpu == true']}}}")
    assert "no node of this Swarm meets the placement constraints" in refusal(
        tmp_path, {"compose.yml": text}
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("compose.yml", BOMB, "expands to more than 4 MiB through YAML aliases"),
        ("compose.unused.yml", BOMB, "expands to more than 4 MiB through YAML aliases"),
        ("compose.yaml", BOMB, "expands to more than 4 MiB through YAML aliases"),
        ("compose.yml", "a: &a [*a]\n", "expands to more than 4 MiB through YAML aliases"),
        ("compose.yml", f"a: {'[' * 60}{']' * 60}\n", "too deeply nested"),
        ("compose.yml", f"a: 0x{'f' * 5000}\n", "a number of 5002 characters"),
        ("compose.yml", f"a: {'9' * 5000}\n", "a number of 5000 characters"),
        ("compose.yml", f"a: {'9' * 5000}.5\n", "a number of 5002 characters"),
        ("compose.yml", "a: !!python/object/apply:os.system [touch /x]\n", "invalid YAML"),
        ("compose.yml", "#" * 1024 * 1024 + "\n", "larger than 1 MiB"),
    ],
    ids=[*"abcdefghij"],
)
def test_a_file_that_would_exhaust_memory_is_refused(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    """Files that are not enabled too, because `abra recipe lint` reads them all."""
    assert why in refusal(tmp_path, {name: text})


def test_compose_files_outside_of_the_checkout_are_refused(tmp_path: Path) -> None:
    """COMPOSE_FILE comes from the recipe, which is untrusted."""
    files = {".env.sample": f"{SAMPLE}COMPOSE_FILE=compose.yml:../../../../etc/x.yml\n"}
    assert "which is outside of the recipe" in refusal(tmp_path, files)


@pytest.mark.parametrize(
    ("text", "allow", "why"),
    [
        (compose("{healthcheck: {interval: '${EVERY:-5s}'}}"), [], "durations before it replaces"),
        (
            compose("{volumes: ['/nowhere/data:/data']}"),
            ["bind"],
            "which does not exist on this host",
        ),
        (compose(configs={"x" * 60: {"file": "compose.yml"}}), [], "characters too long"),
    ],
    ids=["a duration", "a folder that is missing", "a long name"],
)
def test_mistakes_that_cannot_work_are_refused_before_the_deployment(
    tmp_path: Path, text: str, allow: list[str], why: str
) -> None:
    """As the recipe's fault, immediately, instead of a timeout later."""
    assert why in refusal(tmp_path, {"compose.yml": text}, allow=allow)
