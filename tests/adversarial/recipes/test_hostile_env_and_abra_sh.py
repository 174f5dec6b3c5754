"""Nothing in a recipe's `.env.sample` or `abra.sh` runs on this host or changes its commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import lifecycle
from harness.errors import RecipeFailure
from harness.host import proc
from sandbox.standins.abra.files import env_file as standin_env
from sandbox.standins.abra.log import Fatal
from sandbox.standins.abra.tools.docker import compose_environment
from tests.adversarial.recipes.hostile import (
    SAMPLE,
    STACK,
    abra_calls,
    install,
    refusal,
    run_with_files,
)

pytestmark = pytest.mark.usefixtures("no_docker")


# -- .env.sample


def test_shell_code_in_a_sample_does_not_run(tmp_path: Path) -> None:
    """It is passed on as text by the harness and by the stand-in for abra."""
    pwned = tmp_path / "pwned"
    lines = [
        f"A=$(touch {pwned})",
        f"B=`touch {pwned}`",
        f'C="$(touch {pwned})"',
        f"D=${{X:-$(touch {pwned})}}",
    ]
    run = install(tmp_path, {".env.sample": SAMPLE + "\n".join(lines) + "\n"})
    made = next((run.record.abra_dir / "servers" / "default").glob("*.env")).read_text()
    assert all(line in made for line in lines)
    read = standin_env.parse(made)
    assert (read.values["A"], read.values["B"]) == (f"$(touch {pwned})", f"`touch {pwned}`")
    environment = compose_environment({**read.values, "STACK_NAME": STACK}, os.environ)
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
        ("export SRC=/", "which programs read differently"),
        ("SRC: /", "which programs read differently"),
        ("SRC = /", "which programs read differently"),
        ('SRC="\\/"', "which programs read differently"),
        ('SRC="a', "which programs read differently"),
        ("# x\u2028SRC=data", "some programs read as the end of a line"),
        ("# x\x0cSRC=data", "some programs read as the end of a line"),
        ("# x\rSRC=data", "some programs read as the end of a line"),
        ("A=\x00", "some programs read as the end of a line"),
    ],
)
def test_reserved_keys_and_ambiguous_lines_of_a_sample_are_refused(
    tmp_path: Path, line: str, why: str
) -> None:
    """Variables of abra, Docker and the shell, and lines that programs read differently."""
    message = refusal(tmp_path, {".env.sample": f"{SAMPLE}{line}\n"})
    assert message.startswith("'.env.sample' of the recipe, line 3 ")
    assert why in message


def test_a_missing_sample_is_the_recipes_fault(tmp_path: Path) -> None:
    run, app = run_with_files(tmp_path, {})
    (run.checkout_dir / ".env.sample").unlink()
    (run.checkout_dir / ".env.sample").mkdir()
    with pytest.raises(RecipeFailure, match=r"has no file '\.env\.sample'"):
        lifecycle.install(run, app)


def test_the_stand_in_refuses_variables_that_change_docker() -> None:
    """It passes variables to compose in docker's environment."""
    for key in ("LD_PRELOAD", "DOCKER_HOST", "DOCKER_CONFIG", "PATH", "GODEBUG"):
        with pytest.raises(Fatal, match=f"variable {key} would change the docker command"):
            compose_environment({key: "x"}, os.environ)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("POST_DEPLOY_CMDS='--local evil'", "does not start with the name"),
        ("POST_DEPLOY_CMDS='app -l evil|app ok'", "does not start with the name"),
        ("POST_DEPLOY_CMDS='app $(evil)'", "does not start with the name"),
        (
            "SECRET_KEY_VERSION=--file=/etc/shadow # generate=false",
            "has the invalid version '--file=/etc/shadow'",
        ),
        ("SECRET_KEY_VERSION=v1 # length=999999", "the maximum is 4096"),
    ],
)
def test_values_that_abra_would_parse_as_flags_are_refused(
    tmp_path: Path, line: str, why: str
) -> None:
    """`app cmd … --local evil` would run a function of the recipe on the host."""
    assert why in refusal(tmp_path, {".env.sample": f"{SAMPLE}{line}\n"})


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
def test_an_abra_sh_that_runs_commands_when_sourced_is_refused(tmp_path: Path, text: str) -> None:
    """Some versions of abra may let a shell on the host source it, as root."""
    pwned = tmp_path / "pwned"
    message = refusal(tmp_path, {"abra.sh": text.format(pwned=pwned)})
    assert "abra.sh: " in message and "'allow: [shell]'" in message
    assert not pwned.exists()


def test_functions_of_abra_sh_may_run_any_command(tmp_path: Path) -> None:
    """They run in containers. A here-document with a brace at the start of a line does not end one."""
    script = (
        "#!/bin/bash\n# what it is for\nset -e\nexport A=v1 # why\nFOLDER='/var/x y'\n\n"
        'backup() {\n  cat > /x.json <<EOF\n{\n  "a": "$(date)"\n}\nEOF\n'
        '  if [ -f /x ]; then\n    rm -rf /x\n  fi\n}\n\nfunction restore {\n  echo "}\n"\n}\n'
    )
    assert "app deploy -n" in abra_calls(install(tmp_path, {"abra.sh": script}))


def test_a_suite_can_allow_commands_in_abra_sh(tmp_path: Path) -> None:
    files = {"abra.sh": "if true; then export A=1; fi\n"}
    assert "(shell)" in refusal(tmp_path / "a", files)
    assert "app deploy -n" in abra_calls(install(tmp_path / "b", files, allow=["shell"]))
