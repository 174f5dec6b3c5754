"""The check of an enrolment: all is well, or it says what is missing (incident L7)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from sandbox.forge.gitea import BOT_SCOPES
from tests.integration.forge.conversation import BOT, World

pytestmark = pytest.mark.forge
Make = Callable[..., World]


def check(world: World, recipe: str = "", **settings: str) -> tuple[int, str]:
    """Run the check with the bridge's own settings; return its status and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "--check", *([recipe] if recipe else [])],
        env={**world.bridge.environment(), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


def missing(world: World, recipe: str = "", **settings: str) -> list[str]:
    """Return the lines of what is missing; the status has to say so too."""
    status, text = check(world, recipe, **settings)
    found = [line for line in text.splitlines() if line.startswith("✗")]
    assert status == (1 if found else 0), text
    return found


@pytest.fixture
def shut_world(make_world: Make) -> World:
    """Hand out a world whose bridge does not run; its settings are there."""
    world = make_world("poll")
    world.bridge.folder.mkdir(parents=True)
    return world


def token_file(world: World, *scopes: str) -> str:
    """Make a token of the bot with these scopes; return its file."""
    path = world.folder / "narrow_token"
    path.write_text(world.forge.token(BOT, scopes))
    return str(path)


def test_an_enrolled_recipe_is_found_well(shut_world: World) -> None:
    """Every part is named with what was seen; nothing is changed at the forge."""
    _, sha = shut_world.pull()
    status, text = check(shut_world)
    assert status == 0, text
    assert all(line.startswith("✓") for line in text.splitlines())
    for part in ("forge", "membership", "webhook", "Drone", "suite", "repository", "status"):
        assert part in text
    assert shut_world.status(sha) == ("", "")


def test_a_recipe_without_a_folder_is_named(shut_world: World) -> None:
    """L7: a recipe outside of the list, where `!testme` did nothing and nobody knew why."""
    shut_world.forge.create_repository(shut_world.org, "unlisted")
    (line,) = missing(shut_world, "unlisted")
    assert "unlisted: suite" in line and "docs/enroll.md" in line


def test_a_folder_without_a_repository_is_named(shut_world: World) -> None:
    """A recipe that the forge does not show to the bot can never be commented on."""
    folder = shut_world.folder / "recipes" / "nowhere"
    folder.mkdir()
    (line,) = missing(shut_world, "nowhere")
    assert f"no repository '{shut_world.org}/nowhere'" in line


def test_an_archived_repository_is_named(shut_world: World) -> None:
    """Nobody can comment there."""
    shut_world.forge.call("PATCH", f"/repos/{shut_world.repo}", {"archived": True})
    (line,) = missing(shut_world)
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
def test_a_token_without_a_scope_is_named(shut_world: World, lacks: str, part: str) -> None:
    """Each scope that the token lacks is named in what mends it."""
    kept = [scope for scope in BOT_SCOPES if scope != lacks]
    if lacks == "write:repository":
        kept.append("read:repository")
    found = missing(shut_world, GITEA_TOKEN_FILE=token_file(shut_world, *kept))
    assert any(part in line and lacks in line for line in found), found


def test_a_bot_outside_of_the_organisation_is_named(shut_world: World) -> None:
    """Membership shows to members only, and rights come by a team."""
    teams = shut_world.forge.call("GET", f"/orgs/{shut_world.org}/teams")
    (team,) = [t for t in teams if t["name"] == "writers"]
    shut_world.forge.call("DELETE", f"/teams/{team['id']}/members/{BOT}")
    found = missing(shut_world)
    assert any(f"'{BOT}' is not a member of '{shut_world.org}'" in line for line in found)
    assert any("may not set commit statuses" in line for line in found)


def test_a_webhook_of_the_organisation_is_seen_by_an_owner(shut_world: World) -> None:
    """A token that may list them sees that none leads to a bridge, and later that one does."""
    owner = shut_world.folder / "owner_token"
    owner.write_text(shut_world.forge.token("ops"))
    keys = {"GITEA_TOKEN_FILE": str(owner), "BRIDGE_ALLOWED": "ops"}
    assert any("webhook" in line for line in missing(shut_world, **keys))
    shut_world.forge.add_webhook(shut_world.org, "http://127.0.0.1:9/hook", "secret")
    assert not any("webhook" in line for line in missing(shut_world, **keys))


def test_a_closed_hook_without_polling_hears_nothing(shut_world: World) -> None:
    """With neither way to hear of a comment the bridge is deaf."""
    keys = {"BRIDGE_HOOK_SECRET_FILE": "", "BRIDGE_POLL_SECONDS": "0"}
    assert any("neither" in line for line in missing(shut_world, **keys))


def test_drone_s_trouble_is_named(shut_world: World) -> None:
    """An unknown repository, a refused token and a server that is away are told apart."""
    (unknown,) = missing(shut_world, DRONE_REPO="ci/other")
    assert "Drone has no repository 'ci/other'" in unknown
    wrong = shut_world.folder / "wrong_token"
    wrong.write_text("wrong\n")
    (refused,) = missing(shut_world, DRONE_TOKEN_FILE=str(wrong))
    assert "Drone refuses the token" in refused
    (away,) = missing(shut_world, DRONE_URL="http://127.0.0.1:9")
    assert "Connection refused" in away
