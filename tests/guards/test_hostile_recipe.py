"""A recipe is data from whoever opened a pull request: what it tries, and that nothing of it happens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import git, hazards, images, lifecycle, preflight, proc, swarm
from harness.errors import BaseNotDeployable, RecipeFailure
from harness.run import Run
from sandbox.abra import apps
from sandbox.abra import env as standin_env
from sandbox.abra.log import Fatal
from tests.guards.hostile import (
    NAME,
    SAMPLE,
    STACK,
    Recipe,
    asked,
    compose,
    run_git,
    run_of,
    run_with,
)

OWN = f"{STACK}_x"


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here talks to Docker: one node, no image to pull, and deploying is the end."""
    node = {"node.id": "n1", "node.hostname": "here", "node.role": "manager"}
    monkeypatch.setattr(swarm, "nodes", lambda: [node])
    monkeypatch.setattr(preflight, "enough", lambda found: None)
    monkeypatch.setattr(images, "pull", lambda *words, **more: None)
    for name in ("settle", "healthy"):
        monkeypatch.setattr(lifecycle, name, lambda *words, **more: None)


def tried(folder: Path, files: Mapping[str, str], **suite: object) -> Run:
    """Install a recipe with these files; return its run."""
    folder.mkdir(exist_ok=True)
    run, app = run_with(folder, files, **suite)
    lifecycle.install(run, app)
    return run


def refused(folder: Path, files: Mapping[str, str], **suite: object) -> str:
    """Install a recipe with these files; return why it was refused, before anything was deployed."""
    folder.mkdir(exist_ok=True)
    run, app = run_with(folder, files, **suite)
    with pytest.raises(RecipeFailure) as caught:
        lifecycle.install(run, app)
    assert not [line for line in asked(run) if not line.startswith(("app new", "--version"))]
    return str(caught.value)


def test_a_harmless_recipe_is_deployed(tmp_path: Path) -> None:
    """Nothing below is refused because everything is."""
    files = {
        "compose.yml": compose(
            "{volumes: ['data:/data', '/cache', '/etc/localtime:/etc/localtime:ro'],"
            " networks: [proxy, internal], secrets: [key], configs: [{source: conf, target: /c}],"
            " security_opt: ['no-new-privileges:true'], privileged: false,"
            " tmpfs: /tmp, deploy: {replicas: 2, placement: {constraints: [node.role == manager]}}}",
            networks={"proxy": {"external": True}, "internal": None},
            volumes={"data": None},
            secrets={"key": {"external": True, "name": "${STACK_NAME}_key_${SECRET_KEY_VERSION}"}},
            configs={"conf": {"file": "./conf.tmpl", "name": "${STACK_NAME}_conf_${CONF_VERSION}"}},
        ),
        "conf.tmpl": "x",
        "abra.sh": "#!/bin/bash\nset -euo pipefail\nexport CONF_VERSION=v1\n\n"
        "backup() {\n  export P=$(cat /run/secrets/key)\n}\n",
        ".env.sample": f"{SAMPLE}#EXTRA_DOMAINS=', `www.shop.example.com`'\n"
        "SECRET_KEY_VERSION=v1 # length=32\n",
    }
    run, app = run_with(tmp_path, files)
    with pytest.raises(Exception, match="no JSON in abra's answer"):
        lifecycle.install(run, app)  # past every guard: this abra makes no secrets
    assert "app secret generate" in asked(run)


def test_a_recipe_without_secrets_comes_to_its_deployment(tmp_path: Path) -> None:
    """The recording abra is asked to deploy, so its silence elsewhere means something."""
    assert asked(tried(tmp_path, {}))[-1] == "app deploy -n"


# -- compose files


HAZARDOUS = [
    ("docker-socket", "{volumes: ['/var/run/docker.sock:/s']}", "volumes"),
    ("docker-socket", "{volumes: ['/var/run/../run/docker.sock:/s:ro']}", "volumes"),
    ("docker-socket", "{volumes: [{type: bind, source: /run, target: /r}]}", "volumes"),
    ("docker-socket", "{volumes: ['/proc/1/root/run/docker.sock:/s']}", "volumes"),
    ("host-root", "{volumes: ['/:/host']}", "volumes"),
    ("host-root", "{volumes: ['//:/host']}", "volumes"),
    ("host-root", "{volumes: ['/.:/host:ro']}", "volumes"),
    ("host-root", "{volumes: ['//etc/shadow:/s:ro']}", "volumes"),
    ("host-root", "{volumes: ['/root/.ssh:/s']}", "volumes"),
    ("host-root", "{volumes: ['../../../..:/host']}", "volumes"),
    ("host-root", "{volumes: ['~/.ssh:/s']}", "volumes"),
    ("host-root", "{volumes: ['.:/checkout']}", "volumes"),
    ("host-root", "{volumes: ['/var/lib/docker/volumes:/v']}", "volumes"),
    ("host-root", "{volumes: [{type: bind, source: /etc/localtime/.., target: /e, read_only: true}]}",
     "volumes"),
    ("bind", "{volumes: ['/srv:/srv']}", "volumes"),
    ("bind", "{volumes: ['/etc/../srv/x:/srv']}", "volumes"),
    ("bind", "{volumes: ['./hooks:/h']}", "volumes"),
    ("host-root", "{volumes: ['/etc/timezone:/etc/timezone']}", "volumes"),
    ("bind", "{volumes: [{type: npipe, source: x, target: /x}]}", "volumes"),
    ("bind", "{volumes: [{type: cluster, source: x, target: /x}]}", "volumes"),
    ("bind", "{volumes: ['${NOWHERE}srv/x:/x']}", "volumes"),
    ("device", "{volumes: ['/dev:/dev']}", "volumes"),
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
    ("host-namespace", "{pid: host}", "pid"),
    ("host-namespace", "{pid: 'container:abc'}", "pid"),
    ("host-namespace", "{ipc: host}", "ipc"),
    ("host-namespace", "{userns_mode: host}", "userns_mode"),
    ("host-namespace", "{uts: host}", "uts"),
    ("host-namespace", "{cgroup: host}", "cgroup"),
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
    ("outside-file", "{env_file: /etc/shadow}", "env_file"),
    ("outside-file", "{env_file: [.env.sample, ../../../../etc/shadow]}", "env_file"),
    ("outside-file", "{env_file: {path: .git/config}}", "env_file"),
    ("outside-file", "{deploy: {labels: ['backupbot.backup.volumes.data.path=../other/_data']}}",
     "deploy.labels"),
    ("outside-file", "{deploy: {labels: {backupbot.backup.path: /data/../../x}}}", "deploy.labels"),
    ("host-role", "{deploy: {labels: ['coop-cloud.backupbot.enabled=true']}}", "deploy.labels"),
    ("host-role", "{deploy: {labels: {coop-cloud.backupbot.enabled: true}}}", "deploy.labels"),
    ("build", "{build: .}", "build"),
    ("include", "{extends: {file: /etc/x.yml, service: app}}", "extends"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "service", "key"), HAZARDOUS)
def test_a_service_that_wants_the_host_is_refused(
    tmp_path: Path, kind: str, service: str, key: str
) -> None:
    """Before anything is deployed, with file, service and key, and how to allow it."""
    said = refused(tmp_path, {"compose.yml": compose(service)})
    assert f"compose.yml: services.app.{key}" in said
    assert f"({kind})" in said
    assert "Nothing was deployed" in said
    assert f"'allow: [{kind}]'" in said


SHARED = [
    ("bind", "volumes", {"x": {"driver_opts": {"type": "none", "o": "bind", "device": "/srv"}}}),
    ("host-root", "volumes", {"x": {"driver_opts": {"o": "bind", "device": "/"}}}),
    ("host-root", "volumes", {"x": {"driver_opts": {"device": "//etc"}}}),
    ("volume-driver", "volumes", {"x": {"driver_opts": {"type": "nfs", "device": ":/export"}}}),
    ("volume-driver", "volumes", {"x": {"driver": "rclone"}}),
    ("foreign-object", "volumes", {"x": {"external": True, "name": "gitea_data"}}),
    ("foreign-object", "volumes", {"gitea_data": {"external": "true"}}),
    ("foreign-object", "volumes", {"x": {"external": {"name": "gitea_data"}}}),
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
    ("outside-file", "secrets", {"x": {"environment": "DRONE_TOKEN"}}),
    ("outside-file", "secrets", {"x": {"driver": "vault", "name": OWN}}),
    ("foreign-object", "networks", {"x": {"external": True, "name": "gitea_internal"}}),
    ("foreign-object", "networks", {"docker_gwbridge": {"external": True}}),
    ("host-namespace", "networks", {"x": {"external": True, "name": "host"}}),
    ("fixed-name", "networks", {"x": {"name": "gitea_internal"}}),
    ("network-driver", "networks", {"x": {"driver": "macvlan"}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "section", "body"), SHARED)
def test_what_is_not_the_apps_own_is_refused(
    tmp_path: Path, kind: str, section: str, body: dict[str, object]
) -> None:
    """Another stack's secret or volume, a file of the host, a driver that reaches it."""
    said = refused(tmp_path, {"compose.yml": compose(**{section: body})})
    assert f"compose.yml: {section}.{next(iter(body))}" in said
    assert f"({kind})" in said


@pytest.mark.parametrize("kind", sorted(hazards.HAZARDS))
def test_every_kind_of_hazard_is_tried_by_some_recipe(kind: str) -> None:
    """A kind that nobody tries could be one that nobody finds."""
    tested = {kind for kind, *_ in (*HAZARDOUS, *SHARED)}
    assert kind in tested | {"shell"}  # abra.sh has tests of its own


def test_taking_in_other_files_is_refused(tmp_path: Path) -> None:
    """What they hold would be looked at by nobody."""
    text = compose() + "include: [/etc/compose.yml]\n"
    assert "compose.yml: include: takes in other files (include)" in refused(
        tmp_path, {"compose.yml": text}
    )


def test_a_suite_may_allow_by_name_what_its_recipe_needs(tmp_path: Path) -> None:
    """Exactly those kinds: the rest is refused still."""
    text = compose("{ports: ['53:53'], cap_add: [NET_ADMIN]}")
    assert asked(
        tried(tmp_path / "a", {"compose.yml": text}, allow=["published-port", "capability"])
    )
    said = refused(tmp_path / "b", {"compose.yml": text}, allow=["published-port"])
    assert "(capability)" in said and "published-port" not in said


def test_an_overlay_cannot_hide_what_the_main_file_asks_for(tmp_path: Path) -> None:
    """Each file counts as written; and an overlay counts when COMPOSE_FILE enables it."""
    files = {
        "compose.yml": compose("{volumes: ['/:/data']}"),
        "compose.mend.yml": compose("{volumes: ['data:/data']}", volumes={"data": None}),
        ".env.sample": f'{SAMPLE}COMPOSE_FILE="compose.yml:compose.mend.yml"\n',
    }
    assert "compose.yml: services.app.volumes" in refused(tmp_path / "a", files)
    files |= {"compose.yml": compose(), "compose.mend.yml": compose("{volumes: ['/:/data']}")}
    assert "compose.mend.yml: services.app.volumes" in refused(tmp_path / "b", files)


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
    """Whichever of the sample and abra.sh abra lets win, and what becomes of unknown references."""
    files = {
        "compose.yml": compose("{volumes: ['${SRC:-/}:/data']}", volumes={"data": None}),
        ".env.sample": f"{SAMPLE}{sample}\n",
        "abra.sh": script,
    }
    assert "(host-root)" in refused(tmp_path, files)


def test_a_merge_cannot_hide_a_mount(tmp_path: Path) -> None:
    """Some readers let a later `<<` win over what stands before it, others do not."""
    text = (
        "x-evil: &evil {volumes: ['/:/host']}\nx-more: &more {<<: *evil}\n"
        "services: {app: {image: a, volumes: ['data:/data'], <<: [*more]}}\nvolumes: {data: }\n"
    )
    said = refused(tmp_path, {"compose.yml": text})
    assert "'compose.yml' line 3 of the recipe lays '<<' over 'volumes'" in said


def test_placement_that_can_never_hold_is_refused(tmp_path: Path) -> None:
    """Swarm would wait for such a node for ever."""
    text = compose("{deploy: {placement: {constraints: ['node.labels.gpu == true']}}}")
    assert "no node of this Swarm is like that" in refused(tmp_path, {"compose.yml": text})


BOMB = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9))]
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("compose.yml", BOMB, "becomes larger than 4 MiB through aliases"),
        ("compose.unused.yml", BOMB, "becomes larger than 4 MiB through aliases"),
        ("compose.yaml", BOMB, "becomes larger than 4 MiB through aliases"),
        ("compose.yml", "a: &a [*a]\n", "becomes larger than 4 MiB through aliases"),
        ("compose.yml", f"a: {'[' * 60}{']' * 60}\n", "too deeply nested"),
        ("compose.yml", f"a: 0x{'f' * 5000}\n", "a number of 5002 characters"),
        ("compose.yml", f"a: {'9' * 5000}\n", "a number of 5000 characters"),
        ("compose.yml", "a: !!python/object/apply:os.system [touch /x]\n", "not readable as YAML"),
        ("compose.yml", "#" * 1024 * 1024 + "\n", "larger than 1 MiB"),
    ],
    ids=[*"abcdefghi"],
)
def test_a_file_that_blows_up_is_refused_where_it_is_read(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    """Also one that is not enabled, since a lint reads them all; and as the recipe's fault."""
    assert why in refused(tmp_path, {name: text})


def test_compose_files_outside_of_the_checkout_are_refused(tmp_path: Path) -> None:
    """COMPOSE_FILE is the recipe's word too."""
    files = {".env.sample": f"{SAMPLE}COMPOSE_FILE=compose.yml:../../../../etc/x.yml\n"}
    assert "which is outside of the recipe" in refused(tmp_path, files)


# -- .env.sample


def test_shell_in_a_sample_is_text(tmp_path: Path) -> None:
    """Neither the harness nor the stand-in runs a substitution; it arrives as it was written."""
    pwned = tmp_path / "pwned"
    lines = [
        f"A=$(touch {pwned})",
        f"B=`touch {pwned}`",
        f'C="$(touch {pwned})"',
        f"D=${{X:-$(touch {pwned})}}",
    ]
    run = tried(tmp_path, {".env.sample": SAMPLE + "\n".join(lines) + "\n"})
    made = next((run.abra_dir / "servers" / "default").glob("*.env")).read_text()
    assert all(line in made for line in lines)
    read = standin_env.parse(made)
    assert (read.values["A"], read.values["B"]) == (f"$(touch {pwned})", f"`touch {pwned}`")
    environment = apps.compose_environment({**read.values, "STACK_NAME": STACK}, os.environ)
    assert environment["A"] == f"$(touch {pwned})"
    assert (
        proc.run(["printenv", "A"], timeout=10, env=environment).out.strip() == f"$(touch {pwned})"
    )
    assert not pwned.exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("STACK_NAME=traefik_ci_test", "sets STACK_NAME"),
        ("LD_PRELOAD=/tmp/x.so", "sets LD_PRELOAD"),
        ("DOCKER_HOST=tcp://evil.example:2375", "sets DOCKER_HOST"),
        ("DOCKER_CONFIG=./evil", "sets DOCKER_CONFIG"),
        ("PATH=./evil", "sets PATH"),
        ("BASH_ENV=./evil.sh", "sets BASH_ENV"),
        ("GIT_SSH_COMMAND=touch x", "sets GIT_SSH_COMMAND"),
        ("ABRA_DIR=/root/.abra", "sets ABRA_DIR"),
        ("TYPE=traefik", "says that the recipe is 'traefik'"),
        ("RECIPE=../../../etc", "says that the recipe is '../../../etc'"),
        ("export SRC=/", "is not read alike everywhere"),
        ("SRC: /", "is not read alike everywhere"),
        ("SRC = /", "is not read alike everywhere"),
        ('SRC="\\/"', "is not read alike everywhere"),
        ('SRC="a', "is not read alike everywhere"),
        ("# x\u2028SRC=data", "some readers take for a line's end"),
        ("# x\x0cSRC=data", "some readers take for a line's end"),
        ("# x\rSRC=data", "some readers take for a line's end"),
        ("A=\x00", "some readers take for a line's end"),
    ],
)
def test_a_line_that_is_not_the_recipes_to_write_is_refused(
    tmp_path: Path, line: str, why: str
) -> None:
    """Names of abra, Docker and the shell; and what two readers take for different things."""
    said = refused(tmp_path, {".env.sample": f"{SAMPLE}{line}\n"})
    assert said.startswith("'.env.sample' of the recipe, line 3 ")
    assert why in said


def test_a_sample_that_is_a_folder_or_missing_is_the_recipes_fault(tmp_path: Path) -> None:
    """As a sentence, not as an exception of ours."""
    run, app = run_with(tmp_path, {})
    (run.checkout_dir / ".env.sample").unlink()
    (run.checkout_dir / ".env.sample").mkdir()
    with pytest.raises(RecipeFailure, match=r"has no file '\.env\.sample'"):
        lifecycle.install(run, app)


def test_the_stand_in_refuses_what_would_change_docker_itself() -> None:
    """Its variables pass through docker's environment, where LD_PRELOAD is no variable of compose's."""
    for key in ("LD_PRELOAD", "DOCKER_HOST", "DOCKER_CONFIG", "PATH", "GODEBUG"):
        with pytest.raises(Fatal, match=f"variable {key} would change the docker command"):
            apps.compose_environment({key: "x"}, os.environ)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("POST_DEPLOY_CMDS='--local evil'", "does not begin with the names"),
        ("POST_DEPLOY_CMDS='app -l evil|app ok'", "does not begin with the names"),
        ("POST_DEPLOY_CMDS='app $(evil)'", "does not begin with the names"),
        ("SECRET_KEY_VERSION=--file=/etc/shadow # generate=false", "which is none"),
        ("SECRET_KEY_VERSION=v1 # length=999999", "4096 is the most"),
    ],
)
def test_words_that_abra_would_take_for_flags_are_refused(
    tmp_path: Path, line: str, why: str
) -> None:
    """`app cmd … --local evil` would run a function of the recipe on the host."""
    assert why in refused(tmp_path, {".env.sample": f"{SAMPLE}{line}\n"})


# -- abra.sh


@pytest.mark.parametrize(
    "text",
    [
        "touch {pwned}\n",
        "export A=$(touch {pwned})\n",
        "export A=`touch {pwned}`\n",
        'export A="x $(touch {pwned})"\n',
        "export A='$(touch {pwned})'\n",
        "export A=${{B:-$(touch {pwned})}}\n",
        "B='$(touch {pwned})'\nexport A=${{B@P}}\n",
        "export A=$((x[$(touch {pwned})]))\n",
        "export A=<(touch {pwned})\n",
        "export A=1; touch {pwned}\n",
        "export A=1 && touch {pwned}\n",
        "export A=1 > {pwned}\n",
        "A=1 touch {pwned}\n",
        "f() {{ :; }}; touch {pwned}\n",
        "f() {{\n  :\n }}\ntouch {pwned}\n",
        "f() {{\n cat <<E\n}}\nE\n}} > {pwned}\ntouch {pwned}\n",
        "if touch {pwned}; then :; fi\n",
        "! touch {pwned}\n",
        "time touch {pwned}\n",
        "{{ touch {pwned}; }}\n",
        "( touch {pwned} )\n",
        "coproc x {{ touch {pwned}; }}\n",
        "trap 'touch {pwned}' EXIT\n",
        "alias export='touch {pwned}'\n",
        "env() {{ touch {pwned}; }}\n",
        "function printenv {{ touch {pwned}; }}\n",
        "export() {{ touch {pwned}; }}\n",
        "command_not_found_handle() {{ touch {pwned}; }}\n",
        "export PATH=./evil\n",
        "export LD_PRELOAD=./evil.so\n",
        "PROMPT_COMMAND=evil\n",
        "export STACK_NAME=traefik\n",
        "export DOMAIN=drone.example.org\n",
        "export COMPOSE_FILE=/etc/x.yml\n",
        "export A=1\nf() {{\nexport A=2\n}}\n",
        "  export A=1\n",
        "export A=1\x00\ntouch {pwned}\n",
        "export A=1\r\n",
        "if\n",
    ],
)
def test_an_abra_sh_that_would_do_something_by_being_read_is_refused(
    tmp_path: Path, text: str
) -> None:
    """Some abra may let a shell on the host read it, as root; so it may not even try."""
    pwned = tmp_path / "pwned"
    said = refused(tmp_path, {"abra.sh": text.format(pwned=pwned)})
    assert "abra.sh: " in said and "'allow: [shell]'" in said
    assert not pwned.exists()


def test_functions_of_abra_sh_may_do_what_they_like(tmp_path: Path) -> None:
    """They run in containers; here-documents with braces at the start of a line do not confuse."""
    script = (
        "#!/bin/bash\n# what it is for\nset -e\nexport A=v1 # why\nFOLDER='/var/x y'\n\n"
        'backup() {\n  cat > /x.json <<EOF\n{\n  "a": "$(date)"\n}\nEOF\n'
        '  if [ -f /x ]; then\n    rm -rf /x\n  fi\n}\n\nfunction restore {\n  echo "}\n"\n}\n'
    )
    assert "app deploy -n" in asked(tried(tmp_path, {"abra.sh": script}))


def test_a_suite_may_allow_shell_in_abra_sh(tmp_path: Path) -> None:
    """By name, as for the rest."""
    files = {"abra.sh": "if true; then export A=1; fi\n"}
    assert "(shell)" in refused(tmp_path / "a", files)
    assert "app deploy -n" in asked(tried(tmp_path / "b", files, allow=["shell"]))


# -- every version counts


def test_a_hazardous_published_version_is_not_the_heads_fault(tmp_path: Path) -> None:
    """It is not deployed either, and the upgrade from it cannot be judged."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({"compose.yml": compose("{volumes: ['/:/host']}")})
    run, app = run_of(tmp_path, recipe, recipe.commit({}))
    run.base_ref, run.base_version = base, "1.0.0+1"
    with pytest.raises(BaseNotDeployable, match=r"1\.0\.0\+1 does not deploy: .*\(host-root\)"):
        lifecycle.base(run, app)
    assert "app deploy -n" not in asked(run)


def test_a_head_cannot_become_hazardous_over_a_harmless_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade looks at the head before it deploys it, also where no fresh life came before."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({})
    files = {
        "compose.yml": compose("{volumes: ['${SRC:-data}:/host']}"),
        ".env.sample": f"{SAMPLE}SRC=/\n",
    }
    run, app = run_of(tmp_path, recipe, recipe.commit(files))
    lifecycle.deploy(run, app, base)
    monkeypatch.setattr(swarm, "view", lambda stack: swarm.StackView(stack, ()))
    monkeypatch.setattr(lifecycle, "_prove_the_head", lambda *words: pytest.fail("deployed"))
    with pytest.raises(RecipeFailure, match=r"\(host-root\)"):
        lifecycle.upgrade(run, app)
    assert asked(run).count("app deploy -n") == 1


def test_the_lint_does_not_hand_abra_a_bomb(tmp_path: Path) -> None:
    """abra's lint reads every compose file, so they are looked at before."""
    run, _ = run_with(tmp_path, {"compose.unused.yml": BOMB})
    with pytest.raises(RecipeFailure, match="becomes larger than 4 MiB"):
        lifecycle.lint(run)
    assert asked(run) == []


# -- the repository


def fetched(folder: Path, recipe: Recipe, ref: str) -> Path:
    """Fetch a commit as a run does; return its checkout."""
    return run_of(folder, recipe, ref)[0].checkout_dir


@pytest.mark.parametrize("leads", ["/etc/shadow", "../../../../etc", ".git/config", "loop"])
def test_links_out_of_the_checkout_are_the_recipes_fault(tmp_path: Path, leads: str) -> None:
    """A config that is a link would read the host's file, or git's own, or nothing for ever."""
    recipe = Recipe.make(tmp_path / "recipe")
    (recipe.folder / "loop").symlink_to(leads)
    ref = recipe.commit({})
    with pytest.raises(RecipeFailure, match=f"'loop' in the recipe links to '{leads}'"):
        fetched(tmp_path, recipe, ref)


def test_filters_and_hooks_that_a_repository_names_do_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter of the operator's own configuration is not the recipe's to start."""
    pwned = tmp_path / "pwned"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(
        f'[filter "lfs"]\n\tsmudge = touch {pwned}\n\tclean = touch {pwned}\n'
        f"[core]\n\tfsmonitor = touch {pwned}\n\thooksPath = {tmp_path}/hooks\n"
        f'[diff "x"]\n\ttextconv = touch {pwned}\n'
    )
    (tmp_path / "hooks").mkdir()
    hook = tmp_path / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {pwned}\n")
    hook.chmod(0o755)
    recipe = Recipe.make(tmp_path / "recipe")
    ref = recipe.commit({".gitattributes": "* filter=lfs diff=x\n", "big.bin": "x"})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    checkout = fetched(tmp_path, recipe, ref)
    assert (checkout / "big.bin").read_text() == "x"
    standin = apps.Data(checkout.parent.parent).checkout(NAME)
    assert standin.chaos_version() == ref[:8]
    assert not pwned.exists()


def test_submodules_are_not_fetched(tmp_path: Path) -> None:
    """Their addresses are the recipe's word: a file of the host, or a command."""
    pwned = tmp_path / "pwned"
    recipe = Recipe.make(tmp_path / "recipe")
    modules = f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {pwned}"\n\tupdate = !touch {pwned}\n'
    first = recipe.commit({".gitmodules": modules})
    run_git(recipe.folder, "update-index", "--add", "--cacheinfo", f"160000,{first},x")
    checkout = fetched(tmp_path, recipe, recipe.committed())
    assert list((checkout / "x").iterdir()) == []
    assert not pwned.exists()


@pytest.mark.parametrize("name", [".GIT", ".git\u200c", "git~1"])
def test_a_folder_that_some_file_system_takes_for_gits_own_is_refused(
    tmp_path: Path, name: str
) -> None:
    """Whatever file system the checkout is on."""
    recipe = Recipe.make(tmp_path / "recipe")
    recipe.commit({})
    blob = run_git(recipe.folder, "hash-object", "-w", "--stdin", stdin=b"[core]\n")
    inner = run_git(recipe.folder, "mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    tree = run_git(recipe.folder, "mktree", stdin=f"040000 tree {inner}\t{name}\n".encode())
    ref = run_git(recipe.folder, "commit-tree", tree, "-m", "x")
    run_git(recipe.folder, "update-ref", "refs/heads/main", ref)
    with pytest.raises(RecipeFailure, match="take for git's own folder"):
        fetched(tmp_path, recipe, ref)


def test_a_tree_that_holds_itself_many_times_is_refused_before_it_is_written(
    tmp_path: Path,
) -> None:
    """Four levels of eleven are fourteen thousand files from five small objects."""
    recipe = Recipe.make(tmp_path / "recipe")
    blob = run_git(recipe.folder, "hash-object", "-w", "--stdin", stdin=b"x")
    entry = f"100644 blob {blob}"
    for _ in range(4):
        listed = "".join(f"{entry}\tf{n}\n" for n in range(11))
        entry = f"040000 tree {run_git(recipe.folder, 'mktree', stdin=listed.encode())}"
    ref = run_git(recipe.folder, "commit-tree", entry.split()[-1], "-m", "x")
    run_git(recipe.folder, "update-ref", "refs/heads/main", ref)
    with pytest.raises(RecipeFailure, match="the recipe has 14641 files; 10000 are the most"):
        fetched(tmp_path, recipe, ref)


def test_files_too_large_for_a_recipe_are_refused_before_they_are_written(tmp_path: Path) -> None:
    """A hundred mebibytes of nothing are a small object."""
    recipe = Recipe.make(tmp_path / "recipe")
    with (recipe.folder / "big").open("wb") as file:
        file.truncate(101 * 1024 * 1024)
    ref = recipe.commit({})
    with pytest.raises(
        RecipeFailure, match="the recipe's files have 101 MiB; 100 MiB are the most"
    ):
        fetched(tmp_path, recipe, ref)


@pytest.mark.parametrize(
    "name", ["1.0.0+\u2028x", "1.0.0+$(touch${IFS}x)", "1.0.0+`x`", "--upload-pack=x", "-d"]
)
def test_a_tag_with_an_odd_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    """Its commit is what is checked out; its name never becomes a word of a command."""
    recipe = Recipe.make(tmp_path / "recipe")
    first = recipe.commit({})
    run_git(recipe.folder, "update-ref", f"refs/tags/{name}", first)
    run, _ = run_of(tmp_path, recipe, recipe.commit({"x": "y"}))
    assert name in [tag.name for tag in git.version_tags(run.checkout_dir)]


def test_a_command_may_not_write_a_file_larger_than_it_was_given(tmp_path: Path) -> None:
    """So that a repository cannot fill the disk while it is fetched."""
    words = ["sh", "-c", f"head -c 2000000 /dev/zero > {tmp_path}/big; echo ended"]
    done = proc.run(words, timeout=20, largest_file=1_000_000, check=False)
    assert (tmp_path / "big").stat().st_size <= 1_000_000
    assert done.status == 0 and "ended" in done.out
