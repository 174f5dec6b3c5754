"""Every version of a recipe is checked before it is deployed, because anyone can open a pull request."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import lifecycle
from harness.errors import BaseNotDeployable, RecipeFailure
from harness.runs.run import Base
from harness.stages import deploy, upgrade
from harness.swarm import engine
from tests.adversarial.recipes.hostile import (
    BOMB,
    SAMPLE,
    Recipe,
    abra_calls,
    compose,
    install,
    run_at_commit,
    run_with_files,
)

pytestmark = pytest.mark.usefixtures("no_docker")


def test_a_harmless_recipe_is_deployed(tmp_path: Path) -> None:
    """The other tests would prove nothing if every recipe were refused."""
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
    run, app = run_with_files(tmp_path, files)
    with pytest.raises(Exception, match="no JSON in the output"):
        lifecycle.install(run, app)  # it passed every check; only this abra makes no secrets
    assert "app secret generate" in abra_calls(run)


def test_a_recipe_without_secrets_is_deployed(tmp_path: Path) -> None:
    """The fake abra records a deploy, so that its absence in other tests means something."""
    assert abra_calls(install(tmp_path, {}))[-1] == "app deploy -n"


# -- every version counts


def test_a_hazardous_published_version_is_not_the_heads_fault(tmp_path: Path) -> None:
    """It is not deployed, so the upgrade from it cannot be tested."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({"compose.yml": compose("{volumes: ['/:/host']}")})
    run, app = run_at_commit(tmp_path, recipe, recipe.commit({}), Base(base, "1.0.0+1"))
    with pytest.raises(BaseNotDeployable, match=r"1\.0\.0\+1 does not deploy: .*\(host-root\)"):
        lifecycle.base(run, app)
    assert "app deploy -n" not in abra_calls(run)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            {
                "compose.yml": compose("{volumes: ['${SRC:-data}:/host']}"),
                ".env.sample": f"{SAMPLE}SRC=/\n",
            },
            "(host-root)",
        ),
        ({"abra.sh": "touch x\n"}, "(shell)"),
        ({".env.sample": f"{SAMPLE}LD_PRELOAD=x\n"}, "sets LD_PRELOAD"),
    ],
    ids=["compose file", "abra.sh", "sample"],
)
def test_a_hazardous_head_is_refused_in_the_upgrade(
    files: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if no fresh life came before the upgrade."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({})
    run, app = run_at_commit(tmp_path, recipe, recipe.commit(files))
    deploy.deploy(run, app, base)
    monkeypatch.setattr(engine, "view", lambda stack: engine.StackView(stack, ()))
    monkeypatch.setattr(upgrade, "prove_the_head", lambda *words: pytest.fail("deployed"))
    with pytest.raises(RecipeFailure, match=re.escape(why)):
        lifecycle.upgrade(run, app)
    assert abra_calls(run).count("app deploy -n") == 1


def test_lint_refuses_an_alias_bomb_before_abra_reads_it(tmp_path: Path) -> None:
    """`abra recipe lint` reads all compose files."""
    run, _ = run_with_files(tmp_path, {"compose.unused.yml": BOMB})
    with pytest.raises(RecipeFailure, match="expands to more than 4 MiB"):
        lifecycle.lint(run)
    assert abra_calls(run) == []
