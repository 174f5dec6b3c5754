"""A recipe is data from whoever opened a pull request: each of its versions is looked at before it runs."""

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
    asked,
    compose,
    run_of,
    run_with,
    tried,
)

pytestmark = pytest.mark.usefixtures("no_docker")


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
    with pytest.raises(Exception, match="no JSON in the output"):
        lifecycle.install(run, app)  # past every guard: this abra makes no secrets
    assert "app secret generate" in asked(run)


def test_a_recipe_without_secrets_comes_to_its_deployment(tmp_path: Path) -> None:
    """The recording abra is asked to deploy, so its silence elsewhere means something."""
    assert asked(tried(tmp_path, {}))[-1] == "app deploy -n"


# -- every version counts


def test_a_hazardous_published_version_is_not_the_heads_fault(tmp_path: Path) -> None:
    """It is not deployed either, and the upgrade from it cannot be judged."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({"compose.yml": compose("{volumes: ['/:/host']}")})
    run, app = run_of(tmp_path, recipe, recipe.commit({}), Base(base, "1.0.0+1"))
    with pytest.raises(BaseNotDeployable, match=r"1\.0\.0\+1 does not deploy: .*\(host-root\)"):
        lifecycle.base(run, app)
    assert "app deploy -n" not in asked(run)


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
def test_a_head_cannot_become_hazardous_over_a_harmless_base(
    files: dict[str, str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upgrade looks at the head before it deploys it, also where no fresh life came before."""
    recipe = Recipe.make(tmp_path / "recipe")
    base = recipe.commit({})
    run, app = run_of(tmp_path, recipe, recipe.commit(files))
    deploy.deploy(run, app, base)
    monkeypatch.setattr(engine, "view", lambda stack: engine.StackView(stack, ()))
    monkeypatch.setattr(upgrade, "prove_the_head", lambda *words: pytest.fail("deployed"))
    with pytest.raises(RecipeFailure, match=re.escape(why)):
        lifecycle.upgrade(run, app)
    assert asked(run).count("app deploy -n") == 1


def test_the_lint_does_not_hand_abra_a_bomb(tmp_path: Path) -> None:
    """abra's lint reads every compose file, so they are looked at before."""
    run, _ = run_with(tmp_path, {"compose.unused.yml": BOMB})
    with pytest.raises(RecipeFailure, match="expands to more than 4 MiB"):
        lifecycle.lint(run)
    assert asked(run) == []
