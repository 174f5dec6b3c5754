"""What the harness relies on in `app new` and `app secret`."""

from __future__ import annotations

import re

import pytest

from tests.integration.abra.abra_env import NEW, RECIPE, AbraEnv, normalized, parse_json, stack_name

pytestmark = [pytest.mark.swarm, pytest.mark.contract]


def test_new_in_chaos_leaves_the_checkout_alone(env: AbraEnv) -> None:
    """The env file is made from the sample of the commit under test."""
    before = env.head()
    text = env.env_path(domain := env.create_app()).read_text()
    assert env.head() == before
    assert f"DOMAIN={domain}" in text
    assert "SECRET_PW_VERSION=v1 # length=20" in text


def test_new_without_chaos_moves_the_checkout_to_the_newest_version(env: AbraEnv) -> None:
    """Without `-C` a run would test another commit."""
    domain = env.new_domain()
    env.run("app", "new", "-n", "-o", "-s", "default", "-D", domain, RECIPE)
    assert env.head() == env.git("rev-parse", f"{NEW}^{{commit}}")
    assert re.search(rf"^(TYPE|RECIPE)={RECIPE}:{re.escape(NEW)}", env.env_path(domain).read_text())


def test_new_refuses_an_app_that_exists(env: AbraEnv) -> None:
    domain = env.create_app()
    words = ["app", "new", "-n", "-o", "-C", "-s", "default", "-D", domain, RECIPE]
    env.assert_refused(*words, message="exists")


def test_generate_follows_the_modifiers(env: AbraEnv) -> None:
    """A length gives that many characters, no length a passphrase, generate=false no value."""
    domain = env.create_app()
    done = env.run("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    values = {row["name"]: row["value"] for row in map(normalized, parse_json(done))}
    assert len(values["pw"]) == 20
    assert values["words"]
    assert "by_hand" not in values
    names = [f"{stack_name(domain)}_pw_v1", f"{stack_name(domain)}_words_v1"]
    assert env.secret_names(domain) == names


def test_generate_with_nothing_left_exits_with_1(env: AbraEnv) -> None:
    domain = env.create_app()
    words = ["app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain]
    env.run(*words)
    env.run(*words, exit_code=1)


def test_secrets_have_no_stack_label(env: AbraEnv) -> None:
    """Only their names say which app they belong to."""
    domain = env.create_app(deployable=True)
    mine = [s for s in env.api.secrets.list() if s.name.startswith(stack_name(domain))]
    assert len(mine) == 3
    assert all(not s.attrs["Spec"].get("Labels") for s in mine)


def test_ls_lists_secrets_with_version_and_existence(env: AbraEnv) -> None:
    domain = env.create_app()
    env.run("app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain)
    rows = parse_json(env.run("app", "secret", "ls", "-n", "-o", "-C", "-m", domain))
    found = {
        r["name"]: (r["version"], r["created-on-server"].lower()) for r in map(normalized, rows)
    }
    assert found == {
        "pw": ("v1", "true"),
        "words": ("v1", "true"),
        "by_hand": ("v1", "false"),
    }


def test_a_secret_cannot_be_inserted_twice(env: AbraEnv) -> None:
    domain = env.create_app()
    path = env.root / "value"
    path.write_text("x")
    words = ["app", "secret", "insert", "-n", "-o", "-C", "-f", domain, "by_hand", "v1", str(path)]
    env.run(*words)
    assert env.secret_names(domain) == [f"{stack_name(domain)}_by_hand_v1"]
    env.assert_refused(*words, message="")


def test_rm_removes_all_secrets(env: AbraEnv) -> None:
    domain = env.create_app(deployable=True)
    env.run("app", "secret", "rm", "-n", "-o", "-C", "-a", domain)
    assert env.secret_names(domain) == []


def test_a_secret_without_its_env_line_is_refused(env: AbraEnv) -> None:
    domain = env.create_app()
    path = env.env_path(domain)
    path.write_text(path.read_text().replace("SECRET_PW_VERSION=v1 # length=20\n", ""))
    words = ["app", "secret", "generate", "-n", "-o", "-C", "-a", "-m", domain]
    env.assert_refused(*words, message="missing version")
