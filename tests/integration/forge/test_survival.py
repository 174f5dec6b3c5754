"""The bridge is killed at every step, and the servers fail."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.forge.bridge_env import BridgeEnv
from tests.integration.forge.faulty_proxy import Mode

pytestmark = pytest.mark.forge
Make = Callable[..., BridgeEnv]
Record = Callable[[str, object], None]


class BridgeKiller:
    """Kills the bridge with SIGKILL once before and once after each kind of request to a server."""

    def __init__(self, env: BridgeEnv) -> None:
        self.env = env
        self.seen: set[tuple[str, str]] = set()
        self.killed = threading.Event()
        for proxy in (env.gitea_proxy, env.drone_proxy):
            proxy.before = lambda *call: self._maybe("before", *call)
            proxy.after = lambda *call: self._maybe("after", *call)

    def _maybe(self, when: str, method: str, path: str, body: bytes) -> None:
        kind = re.sub(r"[0-9a-f]{40}|\d+", "N", f"{method} {path.partition('?')[0]}")
        if "/statuses/" in path:
            kind += f" {json.loads(body)['state']}"
        if (when, kind) in self.seen or self.killed.is_set():
            return
        self.seen.add((when, kind))
        self.env.bridge.daemon.kill()
        self.killed.set()

    def restart_bridge(self) -> None:
        """Start the bridge again if it was killed."""
        if self.killed.is_set():
            self.killed.clear()
            self.env.bridge.start(wait=False)


@pytest.mark.parametrize("discovery", ["hook", "poll", "both"])
def test_bridge_killed_at_every_step_publishes_everything_once(
    make_env: Make, discovery: str, record_property: Record
) -> None:
    """SIGKILL before and after each kind of request: one build, one comment, one verdict."""
    env = make_env(discovery)
    env.open()
    number, sha = env.pull()
    killer = BridgeKiller(env)
    comment = env.comment(number, "!testme")

    def over() -> bool:
        killer.restart_bridge()
        return env.status(sha)[0] == "success"

    env.until(over, "the verdict", seconds=120)

    def idle() -> bool:
        killer.restart_bridge()
        return env.is_idle()

    env.until(idle, "the end", seconds=60)
    record_property("times", len(killer.seen))
    kinds = {kind for _, kind in killer.seen}
    assert {kind for kind in kinds if "builds" in kind and "POST" in kind}
    assert {kind for kind in kinds if "reactions" in kind}
    assert {kind for kind in kinds if "PATCH" in kind}
    assert len([kind for kind in kinds if "statuses" in kind]) == 2  # pending, success
    assert len(env.builds()) == 1
    (body,) = env.bot_comments(number)
    assert "passed, level 5" in body
    assert env.forge.reactions(env.repo, comment) == ["eyes"]


def test_reply_is_posted_once_although_the_bridge_is_killed(
    make_env: Make, record_property: Record
) -> None:
    """Also if it is killed right after posting it."""
    env = make_env("poll")
    env.open()
    number, _ = env.pull()
    killer = BridgeKiller(env)
    env.comment(number, "!testme what")

    def answered() -> bool:
        killer.restart_bridge()
        return env.is_idle() and bool(env.bot_comments(number))

    env.until(answered, "an answer", seconds=90)
    record_property("times", len(killer.seen))
    assert len(env.bot_comments(number)) == 1


def test_comments_during_a_downtime_are_processed(make_env: Make) -> None:
    """Also without polling."""
    env = make_env("hook")
    env.open()
    env.bridge.stop()
    number, sha = env.pull()
    env.comment(number, "!testme")
    env.bridge.start()
    assert env.final_state(sha) == "success"


def test_running_build_is_followed_after_a_restart(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    env.bridge.stop()
    env.release(sha)
    env.bridge.start()
    assert env.final_state(sha) == "success"
    assert len(env.builds()) == 1


def test_fifty_comments_in_a_second(env: BridgeEnv, record_property: Record) -> None:
    """Ten pull requests with five commands each: ten builds, fifty reactions, ten comments."""
    pulls = [env.pull() for _ in range(10)]
    for _, sha in pulls:
        env.hold(sha)  # a command after the verdict would start another run
    with ThreadPoolExecutor(10) as pool:
        comments = list(pool.map(lambda n: env.comment(pulls[n % 10][0], "!testme"), range(50)))
    record_property("times", len(comments))
    env.until(
        lambda: all(env.forge.reactions(env.repo, each) == ["eyes"] for each in comments),
        "fifty reactions",
    )
    for _, sha in pulls:
        env.release(sha)
    for _, sha in pulls:
        assert env.final_state(sha) == "success"
    env.wait_until_idle()
    assert all(len(env.bot_comments(number)) == 1 for number, _ in pulls)
    assert sorted(b["params"]["REF"] for b in env.builds()) == sorted(sha for _, sha in pulls)


def test_comment_of_a_megabyte_is_ignored_and_the_next_is_processed(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.comment(number, "!testme " + "a" * 1_000_000)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "success"


def test_incident_l12_404_for_everything_refuses_nobody(env: BridgeEnv) -> None:
    """L12: 404 for every path during a decision is an outage: no command is dropped or refused."""
    number, sha = env.pull()
    denied: list[str] = []

    def deny(method: str, path: str, body: bytes) -> None:
        if "/pulls/" in path and not denied:
            env.gitea_proxy.mode = "missing"
            denied.append(path)

    env.gitea_proxy.before = deny
    env.comment(number, "!testme")
    env.until(lambda: env.gitea_proxy.refused >= 2, "it is tried again")
    env.gitea_proxy.mode = "pass"
    assert env.final_state(sha) == "success"
    env.wait_until_idle()
    assert (len(env.builds()), len(env.bot_comments(number))) == (1, 1)


@pytest.mark.parametrize("mode", ["fail", "hang", "limit", "missing"])
def test_forge_outage_loses_and_doubles_nothing(make_env: Make, mode: Mode) -> None:
    """HTTP 500, 429, 404 (L12) or no response delay commands and results."""
    env = make_env("both")
    env.open()
    number, sha = env.pull()
    env.hold(sha)
    env.gitea_proxy.mode = mode
    comment = env.comment(number, "!testme")
    calls = len(env.gitea_proxy.calls)
    env.until(lambda: len(env.gitea_proxy.calls) > calls + 1 or mode == "hang", "it tries again")
    env.gitea_proxy.mode = "pass"
    env.sticky_comment(number, "running: install")
    env.gitea_proxy.mode = mode
    env.release(sha)
    env.until(lambda: env.builds()[0]["status"] == "success", "the build's end")
    env.gitea_proxy.mode = "pass"
    assert env.final_state(sha) == "success"
    env.wait_until_idle()
    assert (len(env.builds()), len(env.bot_comments(number))) == (1, 1)
    assert env.forge.reactions(env.repo, comment) == ["eyes"]


def test_retry_after_is_honoured(make_env: Make) -> None:
    env = make_env("poll")
    env.open()
    env.gitea_proxy.mode = "limit"
    proxy = env.gitea_proxy
    first = len(proxy.calls)
    env.until(lambda: len(proxy.calls) >= first + 2, "two limited calls")
    times = [at for at, _, _ in proxy.calls[first:]]
    assert times[1] - times[0] >= 2.0


def test_drone_outage_is_reported_and_one_build_started(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.drone_proxy.mode = "fail"
    env.comment(number, "!testme")
    env.sticky_comment(number, "Drone does not answer")
    env.drone_proxy.mode = "pass"
    assert env.final_state(sha) == "success"
    assert len(env.builds()) == 1


def test_build_is_adopted_if_the_response_to_its_creation_is_lost(env: BridgeEnv) -> None:
    number, sha = env.pull()
    broken = threading.Event()

    def break_off(method: str, path: str, body: bytes) -> None:
        if method == "POST" and "/builds" in path and not broken.is_set():
            broken.set()
            raise OSError("the line broke")

    env.drone_proxy.after = break_off
    env.comment(number, "!testme")
    assert env.final_state(sha) == "success"
    assert broken.is_set()
    assert len(env.builds()) == 1


def test_endless_log_stream_is_closed(env: BridgeEnv) -> None:
    """Drone may never close the stream of a cancelled step."""
    number, sha = env.pull()
    env.drone_proxy.endless = True
    env.hold(sha)
    env.comment(number, "!testme")
    env.sticky_comment(number, "running: install")
    assert env.drone_proxy.streams == 1
    env.comment(number, "!testme cancel")
    assert env.final_state(sha) == "error"
    env.until(lambda: env.drone_proxy.streams == 0, "the bridge leaves the stream")


def test_infrastructure_exit_code_is_retried_once_and_never_red(env: BridgeEnv) -> None:
    """Exit code 16 of a build."""
    number, sha = env.pull()
    env.write_script(sha, exit=16)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "error"
    assert "This result says nothing about the recipe" in env.sticky_comment(
        number, "CI infrastructure error"
    )
    assert len(env.builds()) == 2


def test_retry_after_a_full_disk_passes(env: BridgeEnv) -> None:
    """The second attempt decides; the commit was never red."""
    number, sha = env.pull()
    env.write_script(sha, full_disk=1)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "success"
    assert env.status(sha)[1] == "passed, level 5"
    assert len(env.builds()) == 2


def test_lasting_full_disk_is_an_infrastructure_error(env: BridgeEnv) -> None:
    """Two attempts; the comment has the harness's message about the host; no level, no failure."""
    number, sha = env.pull()
    env.write_script(sha, full_disk=9)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "error"
    assert "only 0.0 MiB are free" in env.sticky_comment(number, "CI infrastructure error")
    assert len(env.builds()) == 2


def test_report_on_another_commit_is_ignored(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.write_script(sha, ref="0" * 40)
    env.comment(number, "!testme")
    assert env.final_state(sha) == "error"
    assert "different commit" in env.sticky_comment(number, "CI infrastructure error")


def test_output_of_an_app_cannot_forge_a_verdict(env: BridgeEnv) -> None:
    number, sha = env.pull()
    forged = "| ::cc-ci:: " + json.dumps({"event": "run-report", "verdict": "passed"})
    env.write_script(sha, fail="install", noise=[forged, " ::cc-ci:: {}", "::cc-ci:: not json"])
    env.comment(number, "!testme")
    assert env.final_state(sha) == "failure"


def test_bot_that_is_not_a_member_refuses_nobody(make_env: Make) -> None:
    """The forge responds 303; the comment waits until the bot is a member again."""
    env = make_env("poll")
    env.open()
    (team,) = [t for t in env.forge.call("GET", f"/orgs/{env.org}/teams") if t["name"] == "writers"]
    path = f"/teams/{team['id']}/members/ccbot"
    collaborator = f"/repos/{env.repo}/collaborators/ccbot"
    env.forge.call("PUT", collaborator, {"permission": "write"})
    env.forge.call("DELETE", path)
    number, sha = env.pull()
    env.comment(number, "!testme")
    env.until(
        lambda: "not a member of organisation" in env.bridge.daemon.log.read_text(), "an error"
    )
    assert env.bot_comments(number) == []
    env.forge.call("PUT", path)
    assert env.final_state(sha) == "success"


def test_without_permission_to_set_statuses_the_comment_has_the_verdict(make_env: Make) -> None:
    env = make_env("poll")
    teams = env.forge.call("GET", f"/orgs/{env.org}/teams")
    (team,) = [t for t in teams if t["name"] == "writers"]
    env.forge.call("DELETE", f"/teams/{team['id']}/members/ccbot")
    units = {"repo.code": "read", "repo.issues": "write", "repo.pulls": "write"}
    body = {
        "name": "commenters",
        "permission": "write",
        "units_map": units,
        "includes_all_repositories": True,
    }
    commenters = env.forge.call("POST", f"/orgs/{env.org}/teams", body)
    env.forge.call("PUT", f"/teams/{commenters['id']}/members/ccbot")
    env.open()
    number, sha = env.pull()
    env.comment(number, "!testme")
    env.sticky_comment(number, "passed, level 5")
    assert env.status(sha) == ("", "")
