"""What the harness relies on in `app new` and `app secret`."""

from __future__ import annotations

import re

import pytest

from tests.integration.abra.abra_env import NEW, RECIPE, World, lower, machine, stack

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_new_in_chaos_leaves_the_checkout_alone(world: World) -> None:
    """`-C` makes the env file from the head's sample; HEAD stays where it was."""
    before = world.head()
    text = world.env(domain := world.new()).read_text()
    assert world.head() == before
    assert f"DOMAIN={domain}" in text
    assert "SECRET_PW_VERSION=v1 # length=20" in text


def test_new_without_chaos_moves_the_checkout_to_the_newest_version(world: World) -> None:
    """Whoever forgets `-C` tests another commit than they think."""
    domain = world.domain()
    world.abra("app", "new", "-n", "-o", "-s", "default", "-D", domain, RECIPE)
    assert world.head() == world.git("rev-parse", f"{NEW}^{{commit}}")
    assert re.search(rf"^(TYPE|RECIPE)={RECIPE}:{re.escape(NEW)}", world.env(domain).read_text())


def test_new_refuses_an_app_that_exists(world: World) -> None:
    """The env file of an app is never overwritten."""
    domain = world.new()
    words = ["app", "new", "-n", "-o", "-C", "-s", "default", "-D", domain, RECIPE]
    world.refused(*words, saying="exists")


def test_generate_makes_values_by_their_modifiers(world: World) -> None:
    """A length gives that many characters, none a passphrase, generate=false nothing."""
    domain = world.new()
    done = world.abra("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    values = {row["name"]: row["value"] for row in map(lower, machine(done))}
    assert len(values["pw"]) == 20
    assert values["words"]
    assert "by_hand" not in values
    names = [f"{stack(domain)}_pw_v1", f"{stack(domain)}_words_v1"]
    assert world.secret_names(domain) == names


def test_generate_with_nothing_left_exits_1(world: World) -> None:
    """A second `generate -a` is no error for an operator, but exits 1 all the same."""
    domain = world.new()
    words = ["app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain]
    world.abra(*words)
    world.abra(*words, status=1)


def test_secrets_carry_no_stack_label(world: World) -> None:
    """Only the name tells whose a secret is."""
    domain = world.new(deployable=True)
    mine = [s for s in world.api.secrets.list() if s.name.startswith(stack(domain))]
    assert len(mine) == 3
    assert all(not s.attrs["Spec"].get("Labels") for s in mine)


def test_ls_tells_which_secrets_exist(world: World) -> None:
    """Every secret of the recipe is listed with its version and whether the server has it."""
    domain = world.new()
    world.abra("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    rows = machine(world.abra("app", "secret", "ls", "-n", "-o", "-C", "-m", domain))
    found = {r["name"]: (r["version"], r["created-on-server"].lower()) for r in map(lower, rows)}
    assert found == {
        "pw": ("v1", "true"),
        "words": ("v1", "true"),
        "by_hand": ("v1", "false"),
    }


def test_a_secret_is_inserted_once(world: World) -> None:
    """Inserting from a file works; the same version again is refused."""
    domain = world.new()
    path = world.root / "value"
    path.write_text("x")
    words = ["app", "secret", "insert", "-n", "-o", "-C", "-f", domain, "by_hand", "v1", str(path)]
    world.abra(*words)
    assert world.secret_names(domain) == [f"{stack(domain)}_by_hand_v1"]
    world.refused(*words, saying="")


def test_rm_removes_all_secrets(world: World) -> None:
    """After `secret rm -a` the server has none of the app's secrets."""
    domain = world.new(deployable=True)
    world.abra("app", "secret", "rm", "-n", "-o", "-C", "-a", domain)
    assert world.secret_names(domain) == []


def test_a_new_secret_without_its_env_line_is_refused(world: World) -> None:
    """A secret whose version variable is not in the env file stops the command."""
    domain = world.new()
    path = world.env(domain)
    path.write_text(path.read_text().replace("SECRET_PW_VERSION=v1 # length=20\n", ""))
    words = ["app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain]
    world.refused(*words, saying="missing version")
