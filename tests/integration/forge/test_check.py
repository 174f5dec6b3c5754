"""`python -m bridge --check`: everything is in order, or it names what is missing (incident L7)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from sandbox.forge.gitea import BOT_SCOPES
from tests.integration.forge.bridge_env import BOT, BridgeEnv

pytestmark = pytest.mark.forge
Make = Callable[..., BridgeEnv]


def check(env: BridgeEnv, recipe: str = "", **settings: str) -> tuple[int, str]:
    """Run the check with the settings of the bridge; return exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--check", *([recipe] if recipe else [])],
        env={**env.bridge.environment(), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def missing(env: BridgeEnv, recipe: str = "", **settings: str) -> list[str]:
    """Return the lines about missing things; the exit code must agree."""
    exit_code, text = check(env, recipe, **settings)
    found = [line for line in text.splitlines() if line.startswith("✗")]
    assert exit_code == (1 if found else 0), text
    return found


@pytest.fixture
def env_without_bridge(make_env: Make) -> BridgeEnv:
    """Return an organisation with the settings of a bridge that is not started."""
    env = make_env("poll")
    env.bridge.folder.mkdir(parents=True)
    return env


def token_file(env: BridgeEnv, *scopes: str) -> str:
    """Create a token of the bot with these scopes; return its file."""
    path = env.folder / "narrow_token"
    path.write_text(env.forge.token(BOT, scopes))
    return str(path)


def test_complete_enrolment_has_no_findings(env_without_bridge: BridgeEnv) -> None:
    """Each part is printed with what was found; nothing is changed at the forge."""
    _, sha = env_without_bridge.pull()
    exit_code, text = check(env_without_bridge)
    assert exit_code == 0, text
    assert all(line.startswith("✓") for line in text.splitlines())
    for part in ("forge", "membership", "webhook", "Drone", "suite", "repository", "status"):
        assert part in text
    assert env_without_bridge.status(sha) == ("", "")


def test_recipe_without_a_folder_is_reported(env_without_bridge: BridgeEnv) -> None:
    """L7: `!testme` had no effect in a recipe that was not enrolled, and nobody knew why."""
    env_without_bridge.forge.create_repository(env_without_bridge.org, "unlisted")
    (line,) = missing(env_without_bridge, "unlisted")
    assert "unlisted: suite" in line and "docs/enroll.md" in line


def test_folder_without_a_repository_is_reported(env_without_bridge: BridgeEnv) -> None:
    """Nobody can comment in a repository that the bot cannot see."""
    folder = env_without_bridge.folder / "recipes" / "nowhere"
    folder.mkdir()
    (line,) = missing(env_without_bridge, "nowhere")
    assert f"no repository '{env_without_bridge.org}/nowhere'" in line


def test_archived_repository_is_reported(env_without_bridge: BridgeEnv) -> None:
    """Nobody can comment in it."""
    env_without_bridge.forge.call("PATCH", f"/repos/{env_without_bridge.repo}", {"archived": True})
    (line,) = missing(env_without_bridge)
    assert "archived" in line


@pytest.mark.parametrize(
    ("lacks", "part"),
    [
        ("write:issue", "comments"),
        ("write:repository", "status"),
        ("read:organization", "membership"),
        ("read:user", "forge"),
    ],
)
def test_missing_token_scope_is_reported(
    env_without_bridge: BridgeEnv, lacks: str, part: str
) -> None:
    """The fix names the scope."""
    kept = [scope for scope in BOT_SCOPES if scope != lacks]
    if lacks == "write:repository":
        kept.append("read:repository")
    found = missing(env_without_bridge, GITEA_TOKEN_FILE=token_file(env_without_bridge, *kept))
    assert any(part in line and lacks in line for line in found), found


def test_bot_that_is_not_a_member_is_reported(env_without_bridge: BridgeEnv) -> None:
    """Only members can see who is a member, and permissions come from a team."""
    teams = env_without_bridge.forge.call("GET", f"/orgs/{env_without_bridge.org}/teams")
    (team,) = [t for t in teams if t["name"] == "writers"]
    env_without_bridge.forge.call("DELETE", f"/teams/{team['id']}/members/{BOT}")
    found = missing(env_without_bridge)
    assert any(f"'{BOT}' is not a member of '{env_without_bridge.org}'" in line for line in found)
    assert any("may not set commit statuses" in line for line in found)


def test_missing_webhook_is_reported_if_the_token_may_list_webhooks(
    env_without_bridge: BridgeEnv,
) -> None:
    owner = env_without_bridge.folder / "owner_token"
    owner.write_text(env_without_bridge.forge.token("ops"))
    keys = {"GITEA_TOKEN_FILE": str(owner), "BRIDGE_ALLOWED": "ops"}
    assert any("webhook" in line for line in missing(env_without_bridge, **keys))
    env_without_bridge.forge.add_webhook(
        env_without_bridge.org, "http://127.0.0.1:9/hook", "secret"
    )
    assert not any("webhook" in line for line in missing(env_without_bridge, **keys))


def test_neither_webhook_nor_polling_is_reported(env_without_bridge: BridgeEnv) -> None:
    """The bridge would never find a comment."""
    keys = {"BRIDGE_HOOK_SECRET_FILE": "", "BRIDGE_POLL_SECONDS": "0"}
    assert any("neither" in line for line in missing(env_without_bridge, **keys))


def test_problems_with_drone_are_reported(env_without_bridge: BridgeEnv) -> None:
    """An unknown repository, a refused token, and a server that is down."""
    (unknown,) = missing(env_without_bridge, DRONE_REPO="ci/other")
    assert "Drone has no repository 'ci/other'" in unknown
    wrong = env_without_bridge.folder / "wrong_token"
    wrong.write_text("wrong\n")
    (refused,) = missing(env_without_bridge, DRONE_TOKEN_FILE=str(wrong))
    assert "Drone refuses the token" in refused
    (away,) = missing(env_without_bridge, DRONE_URL="http://127.0.0.1:9")
    assert "Connection refused" in away
