"""The bridge is killed at every step, and the servers fail."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.forge.conversation import World
from tests.integration.forge.faulty_proxy import Mode

pytestmark = pytest.mark.forge
Make = Callable[..., World]
Record = Callable[[str, object], None]


class Reaper:
    """Kills the bridge with SIGKILL once before and once after each kind of request to a server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: set[tuple[str, str]] = set()
        self.killed = threading.Event()
        for proxy in (world.gitea_proxy, world.drone_proxy):
            proxy.before = lambda *call: self._maybe("before", *call)
            proxy.after = lambda *call: self._maybe("after", *call)

    def _maybe(self, when: str, method: str, path: str, body: bytes) -> None:
        kind = re.sub(r"[0-9a-f]{40}|\d+", "N", f"{method} {path.partition('?')[0]}")
        if "/statuses/" in path:
            kind += f" {json.loads(body)['state']}"
        if (when, kind) in self.seen or self.killed.is_set():
            return
        self.seen.add((when, kind))
        self.world.bridge.daemon.kill()
        self.killed.set()

    def revive(self) -> None:
        """Start the bridge again if it was killed."""
        if self.killed.is_set():
            self.killed.clear()
            self.world.bridge.start(wait=False)


@pytest.mark.parametrize("path", ["hook", "poll", "both"])
def test_bridge_killed_at_every_step_publishes_everything_once(
    make_world: Make, path: str, record_property: Record
) -> None:
    """SIGKILL before and after each kind of request: one build, one comment, one verdict."""
    world = make_world(path)
    world.open()
    number, sha = world.pull()
    reaper = Reaper(world)
    comment = world.comment(number, "!testme")

    def over() -> bool:
        reaper.revive()
        return world.status(sha)[0] == "success"

    world.until(over, "the verdict", seconds=120)

    def idle() -> bool:
        reaper.revive()
        return world.is_idle()

    world.until(idle, "the end", seconds=60)
    record_property("times", len(reaper.seen))
    kinds = {kind for _, kind in reaper.seen}
    assert {kind for kind in kinds if "builds" in kind and "POST" in kind}
    assert {kind for kind in kinds if "reactions" in kind}
    assert {kind for kind in kinds if "PATCH" in kind}
    assert len([kind for kind in kinds if "statuses" in kind]) == 2  # pending, success
    assert len(world.builds()) == 1
    (body,) = world.bot_comments(number)
    assert "passed, level 5" in body
    assert world.forge.reactions(world.repo, comment) == ["eyes"]


def test_reply_is_posted_once_although_the_bridge_is_killed(
    make_world: Make, record_property: Record
) -> None:
    """Also if it is killed right after posting it."""
    world = make_world("poll")
    world.open()
    number, _ = world.pull()
    reaper = Reaper(world)
    world.comment(number, "!testme what")

    def answered() -> bool:
        reaper.revive()
        return world.is_idle() and bool(world.bot_comments(number))

    world.until(answered, "an answer", seconds=90)
    record_property("times", len(reaper.seen))
    assert len(world.bot_comments(number)) == 1


def test_comments_during_a_downtime_are_processed(make_world: Make) -> None:
    """Also without polling."""
    world = make_world("hook")
    world.open()
    world.bridge.stop()
    number, sha = world.pull()
    world.comment(number, "!testme")
    world.bridge.start()
    assert world.final_state(sha) == "success"


def test_running_build_is_followed_after_a_restart(world: World) -> None:
    number, sha = world.pull()
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    world.bridge.stop()
    world.release(sha)
    world.bridge.start()
    assert world.final_state(sha) == "success"
    assert len(world.builds()) == 1


def test_fifty_comments_in_a_second(world: World, record_property: Record) -> None:
    """Ten pull requests with five commands each: ten builds, fifty reactions, ten comments."""
    pulls = [world.pull() for _ in range(10)]
    for _, sha in pulls:
        world.hold(sha)  # a command after the verdict would start another run
    with ThreadPoolExecutor(10) as pool:
        comments = list(pool.map(lambda n: world.comment(pulls[n % 10][0], "!testme"), range(50)))
    record_property("times", len(comments))
    world.until(
        lambda: all(world.forge.reactions(world.repo, each) == ["eyes"] for each in comments),
        "fifty reactions",
    )
    for _, sha in pulls:
        world.release(sha)
    for _, sha in pulls:
        assert world.final_state(sha) == "success"
    world.wait_until_idle()
    assert all(len(world.bot_comments(number)) == 1 for number, _ in pulls)
    assert sorted(b["params"]["REF"] for b in world.builds()) == sorted(sha for _, sha in pulls)


def test_comment_of_a_megabyte_is_ignored_and_the_next_is_processed(world: World) -> None:
    number, sha = world.pull()
    world.comment(number, "!testme " + "a" * 1_000_000)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "success"


def test_incident_l12_404_for_everything_refuses_nobody(world: World) -> None:
    """L12: 404 for every path during a decision is an outage: no command is dropped or refused."""
    number, sha = world.pull()
    denied: list[str] = []

    def deny(method: str, path: str, body: bytes) -> None:
        if "/pulls/" in path and not denied:
            world.gitea_proxy.mode = "missing"
            denied.append(path)

    world.gitea_proxy.before = deny
    world.comment(number, "!testme")
    world.until(lambda: world.gitea_proxy.refused >= 2, "it is tried again")
    world.gitea_proxy.mode = "pass"
    assert world.final_state(sha) == "success"
    world.wait_until_idle()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)


@pytest.mark.parametrize("mode", ["fail", "hang", "limit", "missing"])
def test_forge_outage_loses_and_doubles_nothing(make_world: Make, mode: Mode) -> None:
    """HTTP 500, 429, 404 (L12) or no response delay commands and results."""
    world = make_world("both")
    world.open()
    number, sha = world.pull()
    world.hold(sha)
    world.gitea_proxy.mode = mode
    comment = world.comment(number, "!testme")
    calls = len(world.gitea_proxy.calls)
    world.until(
        lambda: len(world.gitea_proxy.calls) > calls + 1 or mode == "hang", "it tries again"
    )
    world.gitea_proxy.mode = "pass"
    world.sticky_comment(number, "running: install")
    world.gitea_proxy.mode = mode
    world.release(sha)
    world.until(lambda: world.builds()[0]["status"] == "success", "the build's end")
    world.gitea_proxy.mode = "pass"
    assert world.final_state(sha) == "success"
    world.wait_until_idle()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)
    assert world.forge.reactions(world.repo, comment) == ["eyes"]


def test_retry_after_is_honoured(make_world: Make) -> None:
    world = make_world("poll")
    world.open()
    world.gitea_proxy.mode = "limit"
    proxy = world.gitea_proxy
    first = len(proxy.calls)
    world.until(lambda: len(proxy.calls) >= first + 2, "two limited calls")
    times = [at for at, _, _ in proxy.calls[first:]]
    assert times[1] - times[0] >= 2.0


def test_drone_outage_is_reported_and_one_build_started(world: World) -> None:
    number, sha = world.pull()
    world.drone_proxy.mode = "fail"
    world.comment(number, "!testme")
    world.sticky_comment(number, "Drone does not answer")
    world.drone_proxy.mode = "pass"
    assert world.final_state(sha) == "success"
    assert len(world.builds()) == 1


def test_build_is_adopted_if_the_response_to_its_creation_is_lost(world: World) -> None:
    number, sha = world.pull()
    broken = threading.Event()

    def break_off(method: str, path: str, body: bytes) -> None:
        if method == "POST" and "/builds" in path and not broken.is_set():
            broken.set()
            raise OSError("the line broke")

    world.drone_proxy.after = break_off
    world.comment(number, "!testme")
    assert world.final_state(sha) == "success"
    assert broken.is_set()
    assert len(world.builds()) == 1


def test_endless_log_stream_is_closed(world: World) -> None:
    """Drone may keep the stream of a cancelled step open for ever."""
    number, sha = world.pull()
    world.drone_proxy.endless = True
    world.hold(sha)
    world.comment(number, "!testme")
    world.sticky_comment(number, "running: install")
    assert world.drone_proxy.streams == 1
    world.comment(number, "!testme cancel")
    assert world.final_state(sha) == "error"
    world.until(lambda: world.drone_proxy.streams == 0, "the bridge leaves the stream")


def test_infrastructure_exit_code_is_retried_once_and_never_red(world: World) -> None:
    """Exit code 16 of a build."""
    number, sha = world.pull()
    world.plan(sha, exit=16)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "error"
    assert "This result says nothing about the recipe" in world.sticky_comment(
        number, "CI infrastructure error"
    )
    assert len(world.builds()) == 2


def test_retry_after_a_full_disk_passes(world: World) -> None:
    """The second attempt decides; the commit was never red."""
    number, sha = world.pull()
    world.plan(sha, full_disk=1)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "success"
    assert world.status(sha)[1] == "passed, level 5"
    assert len(world.builds()) == 2


def test_lasting_full_disk_is_an_infrastructure_error(world: World) -> None:
    """Two attempts; the comment has the harness's message about the host; no level, no failure."""
    number, sha = world.pull()
    world.plan(sha, full_disk=9)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "error"
    assert "only 0.0 MiB are free" in world.sticky_comment(number, "CI infrastructure error")
    assert len(world.builds()) == 2


def test_report_on_another_commit_is_ignored(world: World) -> None:
    number, sha = world.pull()
    world.plan(sha, ref="0" * 40)
    world.comment(number, "!testme")
    assert world.final_state(sha) == "error"
    assert "different commit" in world.sticky_comment(number, "CI infrastructure error")


def test_output_of_an_app_cannot_forge_a_verdict(world: World) -> None:
    number, sha = world.pull()
    forged = "| ::cc-ci:: " + json.dumps({"event": "run-report", "verdict": "passed"})
    world.plan(sha, fail="install", noise=[forged, " ::cc-ci:: {}", "::cc-ci:: not json"])
    world.comment(number, "!testme")
    assert world.final_state(sha) == "failure"


def test_bot_that_is_not_a_member_refuses_nobody(make_world: Make) -> None:
    """The forge responds 303; the comment waits until the bot is a member again."""
    world = make_world("poll")
    world.open()
    (team,) = [
        t for t in world.forge.call("GET", f"/orgs/{world.org}/teams") if t["name"] == "writers"
    ]
    path = f"/teams/{team['id']}/members/ccbot"
    collaborator = f"/repos/{world.repo}/collaborators/ccbot"
    world.forge.call("PUT", collaborator, {"permission": "write"})
    world.forge.call("DELETE", path)
    number, sha = world.pull()
    world.comment(number, "!testme")
    world.until(
        lambda: "not a member of organisation" in world.bridge.daemon.log.read_text(), "an error"
    )
    assert world.bot_comments(number) == []
    world.forge.call("PUT", path)
    assert world.final_state(sha) == "success"


def test_without_permission_to_set_statuses_the_comment_has_the_verdict(make_world: Make) -> None:
    world = make_world("poll")
    teams = world.forge.call("GET", f"/orgs/{world.org}/teams")
    (team,) = [t for t in teams if t["name"] == "writers"]
    world.forge.call("DELETE", f"/teams/{team['id']}/members/ccbot")
    units = {"repo.code": "read", "repo.issues": "write", "repo.pulls": "write"}
    body = {
        "name": "talkers",
        "permission": "write",
        "units_map": units,
        "includes_all_repositories": True,
    }
    talkers = world.forge.call("POST", f"/orgs/{world.org}/teams", body)
    world.forge.call("PUT", f"/teams/{talkers['id']}/members/ccbot")
    world.open()
    number, sha = world.pull()
    world.comment(number, "!testme")
    world.sticky_comment(number, "passed, level 5")
    assert world.status(sha) == ("", "")
