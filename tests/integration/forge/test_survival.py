"""What the bridge survives: its own death at every step, and servers that fail."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.integration.forge.conversation import World

pytestmark = pytest.mark.forge
Make = Callable[..., World]
Tell = Callable[[str, object], None]


class Reaper:
    """Kills the bridge by SIGKILL once before and once after each kind of call it makes to a server."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: set[tuple[str, str]] = set()
        self.killed = threading.Event()
        for toll in (world.gitea_toll, world.drone_toll):
            toll.before = lambda *call: self._maybe("before", *call)
            toll.after = lambda *call: self._maybe("after", *call)

    def _maybe(self, moment: str, method: str, path: str, body: bytes) -> None:
        kind = re.sub(r"[0-9a-f]{40}|\d+", "N", f"{method} {path.partition('?')[0]}")
        if "/statuses/" in path:
            kind += f" {json.loads(body)['state']}"
        if (moment, kind) in self.seen or self.killed.is_set():
            return
        self.seen.add((moment, kind))
        self.world.bridge.daemon.kill()
        self.killed.set()

    def revive(self) -> None:
        """Start the bridge again if it was killed."""
        if self.killed.is_set():
            self.killed.clear()
            self.world.bridge.start(wait=False)


@pytest.mark.parametrize("path", ["hook", "poll", "both"])
def test_killed_at_every_step_it_says_everything_once(
    make_world: Make, path: str, record_property: Tell
) -> None:
    """SIGKILL before and after each kind of call: one build, one comment, one verdict, nothing lost."""
    world = make_world(path)
    world.open()
    number, sha = world.pull()
    reaper = Reaper(world)
    comment = world.say(number, "!testme")

    def over() -> bool:
        reaper.revive()
        return world.status(sha)[0] == "success"

    world.until(over, "the verdict", seconds=120)
    world.until(lambda: (reaper.revive(), world.is_quiet())[1], "the end", seconds=60)
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


def test_a_refusal_survives_being_killed(make_world: Make, record_property: Tell) -> None:
    """An answer is posted once, also when the bridge dies just after posting it."""
    world = make_world("poll")
    world.open()
    number, _ = world.pull()
    reaper = Reaper(world)
    world.say(number, "!testme what")
    world.until(
        lambda: (reaper.revive(), world.is_quiet() and world.bot_comments(number))[1],
        "an answer",
        seconds=90,
    )
    record_property("times", len(reaper.seen))
    assert len(world.bot_comments(number)) == 1


def test_comments_made_while_it_was_down_are_caught_up(make_world: Make) -> None:
    """A bridge that was stopped hears what was said meanwhile, by webhook alone too."""
    world = make_world("hook")
    world.open()
    world.bridge.stop()
    number, sha = world.pull()
    world.say(number, "!testme")
    world.bridge.start()
    assert world.ended(sha) == "success"


def test_a_running_build_is_followed_after_a_restart(world: World) -> None:
    """A bridge that is restarted in the middle goes on with the same build."""
    number, sha = world.pull()
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    world.bridge.stop()
    world.release(sha)
    world.bridge.start()
    assert world.ended(sha) == "success"
    assert len(world.builds()) == 1


def test_fifty_comments_in_a_second(world: World, record_property: Tell) -> None:
    """Ten pull requests with five wishes each: ten builds, fifty reactions, ten comments."""
    pulls = [world.pull() for _ in range(10)]
    for _, sha in pulls:
        world.hold(sha)  # who wishes again after a verdict gets another run
    with ThreadPoolExecutor(10) as people:
        comments = list(people.map(lambda n: world.say(pulls[n % 10][0], "!testme"), range(50)))
    record_property("times", len(comments))
    world.until(
        lambda: all(world.forge.reactions(world.repo, each) == ["eyes"] for each in comments),
        "fifty reactions",
    )
    for _, sha in pulls:
        world.release(sha)
    for _, sha in pulls:
        assert world.ended(sha) == "success"
    world.quiet()
    assert all(len(world.bot_comments(number)) == 1 for number, _ in pulls)
    assert sorted(b["params"]["REF"] for b in world.builds()) == sorted(sha for _, sha in pulls)


def test_a_comment_of_a_megabyte(world: World) -> None:
    """It is read, passed over, and what comes after it is heard."""
    number, sha = world.pull()
    world.say(number, "!testme " + "a" * 1_000_000)
    world.say(number, "!testme")
    assert world.ended(sha) == "success"


def test_incident_l12_a_forge_that_denies_everything_refuses_nobody(world: World) -> None:
    """L12: 404 on every path while a comment is decided on is an outage: nothing is dropped or refused."""
    number, sha = world.pull()
    denied: list[str] = []

    def deny(method: str, path: str, body: bytes) -> None:
        if "/pulls/" in path and not denied:
            world.gitea_toll.mood = "missing"
            denied.append(path)

    world.gitea_toll.before = deny
    world.say(number, "!testme")
    world.until(lambda: world.gitea_toll.refused >= 2, "it is tried again")
    world.gitea_toll.mood = "pass"
    assert world.ended(sha) == "success"
    world.quiet()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)


@pytest.mark.parametrize("mood", ["fail", "hang", "limit", "missing"])
def test_a_forge_that_fails_for_a_while(make_world: Make, mood: str) -> None:
    """Answers of 500, 429, 404 (L12) or none delay what is heard and said; nothing is lost or doubled."""
    world = make_world("both")
    world.open()
    number, sha = world.pull()
    world.hold(sha)
    world.gitea_toll.mood = mood  # type: ignore[assignment]
    comment = world.say(number, "!testme")
    calls = len(world.gitea_toll.calls)
    world.until(lambda: len(world.gitea_toll.calls) > calls + 1 or mood == "hang", "it tries again")
    world.gitea_toll.mood = "pass"
    world.living(number, "running: install")
    world.gitea_toll.mood = mood  # type: ignore[assignment]
    world.release(sha)
    world.until(lambda: world.builds()[0]["status"] == "success", "the build's end")
    world.gitea_toll.mood = "pass"
    assert world.ended(sha) == "success"
    world.quiet()
    assert (len(world.builds()), len(world.bot_comments(number))) == (1, 1)
    assert world.forge.reactions(world.repo, comment) == ["eyes"]


def test_retry_after_is_honoured(make_world: Make) -> None:
    """Between two calls that the forge limits lie at least the seconds it asked for."""
    world = make_world("poll")
    world.open()
    world.gitea_toll.mood = "limit"
    toll = world.gitea_toll
    first = len(toll.calls)
    world.until(lambda: len(toll.calls) >= first + 2, "two limited calls")
    times = [at for at, _, _ in toll.calls[first:]]
    assert times[1] - times[0] >= 2.0


def test_a_drone_that_is_away_for_a_while(world: World) -> None:
    """The comment says that Drone gives no answer; when it is back, one build is made."""
    number, sha = world.pull()
    world.drone_toll.mood = "fail"
    world.say(number, "!testme")
    world.living(number, "Drone does not answer")
    world.drone_toll.mood = "pass"
    assert world.ended(sha) == "success"
    assert len(world.builds()) == 1


def test_a_build_whose_answer_was_lost_is_found(world: World) -> None:
    """Drone made the build but its answer broke off: it is found and followed, not made again."""
    number, sha = world.pull()
    broken = threading.Event()

    def break_off(method: str, path: str, body: bytes) -> None:
        if method == "POST" and "/builds" in path and not broken.is_set():
            broken.set()
            raise OSError("the line broke")

    world.drone_toll.after = break_off
    world.say(number, "!testme")
    assert world.ended(sha) == "success"
    assert broken.is_set()
    assert len(world.builds()) == 1


def test_a_stream_without_an_end_is_left(world: World) -> None:
    """Drone may keep a cancelled step's stream open for good: the bridge does not stay in it."""
    number, sha = world.pull()
    world.drone_toll.endless = True
    world.hold(sha)
    world.say(number, "!testme")
    world.living(number, "running: install")
    assert world.drone_toll.streams == 1
    world.say(number, "!testme cancel")
    assert world.ended(sha) == "error"
    world.until(lambda: world.drone_toll.streams == 0, "the bridge leaves the stream")


def test_our_own_trouble_is_tried_once_more(world: World) -> None:
    """Exit status 16 of a build is ours: a second attempt is made, then it is an error, never red."""
    number, sha = world.pull()
    world.plan(sha, exit=16)
    world.say(number, "!testme")
    assert world.ended(sha) == "error"
    assert "This result says nothing about the recipe" in world.living(
        number, "CI infrastructure error"
    )
    assert len(world.builds()) == 2


def test_trouble_that_has_passed_ends_green(world: World) -> None:
    """A full disk in the first attempt: the second one decides, and the commit was never red."""
    number, sha = world.pull()
    world.plan(sha, trouble=1)
    world.say(number, "!testme")
    assert world.ended(sha) == "success"
    assert world.status(sha)[1] == "passed, level 5"
    assert len(world.builds()) == 2


def test_trouble_that_stays_is_told_and_lowers_nothing(world: World) -> None:
    """The harness's own word for it: two attempts, the sentence of the host, no level, no failure."""
    number, sha = world.pull()
    world.plan(sha, trouble=9)
    world.say(number, "!testme")
    assert world.ended(sha) == "error"
    assert "only 0.0 MiB are free" in world.living(number, "CI infrastructure error")
    assert len(world.builds()) == 2


def test_a_report_on_another_commit_is_no_verdict(world: World) -> None:
    """A green report that names another commit never turns this one green."""
    number, sha = world.pull()
    world.plan(sha, ref="0" * 40)
    world.say(number, "!testme")
    assert world.ended(sha) == "error"
    assert "different commit" in world.living(number, "CI infrastructure error")


def test_what_an_app_prints_forges_nothing(world: World) -> None:
    """A line that looks like a verdict within the log, but was not told by the harness, stays noise."""
    number, sha = world.pull()
    forged = "| ::cc-ci:: " + json.dumps({"event": "run-report", "verdict": "passed"})
    world.plan(sha, fail="install", noise=[forged, " ::cc-ci:: {}", "::cc-ci:: not json"])
    world.say(number, "!testme")
    assert world.ended(sha) == "failure"


def test_a_bot_that_is_no_member_is_the_operators_error(make_world: Make) -> None:
    """Where the forge answers 303 nobody is refused: the comment waits, and is followed once it is mended."""
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
    world.say(number, "!testme")
    world.until(
        lambda: "not a member of organisation" in world.bridge.daemon.log.read_text(), "an error"
    )
    assert world.bot_comments(number) == []
    world.forge.call("PUT", path)
    assert world.ended(sha) == "success"


def test_without_the_right_to_set_a_status_the_comment_says_it_all(make_world: Make) -> None:
    """A bot that may comment but not write code loses the status, not the verdict."""
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
    world.say(number, "!testme")
    world.living(number, "passed, level 5")
    assert world.status(sha) == ("", "")


# %% The webhook's door


def deliver(
    world: World, body: bytes, *, secret: str | None = None, kind: str = "application/json"
) -> int:
    """Send a delivery as the forge would; return the status of the answer."""
    key = (world.bridge.hook_secret if secret is None else secret).encode()
    signature = hmac.new(key, body, hashlib.sha256).hexdigest() if key else ""
    headers = {
        "Content-Type": kind,
        "X-Gitea-Event": "issue_comment",
        "X-Gitea-Event-Type": "pull_request_comment",
        "X-Gitea-Signature": signature,
    }
    return requests.post(
        f"{world.bridge.url}/hook", data=body, headers=headers, timeout=30
    ).status_code


def delivery(world: World, number: int, comment: int) -> bytes:
    """Return the body of a delivery about a comment."""
    row = {
        "action": "created",
        "is_pull": True,
        "issue": {"number": number},
        "comment": {"id": comment},
        "repository": {"full_name": world.repo},
    }
    return json.dumps(row).encode()


def test_a_wrong_signature_stirs_nothing(make_world: Make) -> None:
    """Wrong, empty and missing secrets are refused, and nothing is looked at."""
    world = make_world("hook")
    world.open()
    number, sha = world.pull()
    world.bridge.stop()
    comment = 1
    world.bridge.start()
    calls = len(world.gitea_toll.calls)
    body = delivery(world, number, comment)
    assert deliver(world, body, secret="wrong") == 401
    assert deliver(world, body, secret="") == 401
    assert deliver(world, body, kind="text/plain") == 415
    assert deliver(world, b'{"action": "\xff"}') == 400
    assert deliver(world, b"[]") == 400
    assert deliver(world, b"") == 400
    assert deliver(world, b"[" * 100_000) == 400
    assert requests.get(f"{world.bridge.url}/hook", timeout=30).status_code == 405
    assert len(world.gitea_toll.calls) <= calls + 2  # those of its own start
    assert world.status(sha) == ("", "")


def test_a_replayed_delivery_fires_once(world: World) -> None:
    """The same signed delivery ten times more starts nothing more."""
    number, sha = world.pull()
    comment = world.say(number, "!testme")
    assert world.ended(sha) == "success"
    body = delivery(world, number, comment)
    assert [deliver(world, body) for _ in range(10)] == [202] * 10
    world.quiet()
    assert len(world.builds()) == 1


def test_figures_and_health(world: World) -> None:
    """The operator reads counts and latencies, and whether all is well."""
    number, sha = world.pull()
    world.say(number, "!testme")
    assert world.ended(sha) == "success"
    world.quiet()
    figures = requests.get(f"{world.bridge.url}/metrics", timeout=30).text
    assert 'ccci_comments_seen_total{command="cold"} 1.0' in figures
    assert 'ccci_builds_started_total{lane="cold"} 1.0' in figures
    assert 'ccci_verdicts_total{lane="cold",verdict="passed"} 1.0' in figures
    assert requests.get(f"{world.bridge.url}/healthz", timeout=30).json() == {
        "ok": True,
        "problems": [],
    }


def test_the_log_holds_no_secret(world: World) -> None:
    """Neither token nor the webhook's secret stands in the log, and each line is JSON."""
    world.gitea_toll.mood = "fail"
    deliver(world, b"{}")
    world.until(lambda: "HTTP 500" in world.bridge.daemon.log.read_text(), "an error in the log")
    text = world.bridge.daemon.log.read_text()
    for name in ("gitea_token", "hook_secret"):
        assert (world.bridge.folder / name).read_text().strip() not in text
    assert world.drone.token.read_text().strip() not in text
    assert all(json.loads(line)["level"] for line in text.splitlines())


def test_a_second_bridge_on_the_same_state_is_refused(world: World) -> None:
    """Two bridges would do everything twice, so the second ends with a sentence."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge"],
        env=world.bridge.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "another bridge uses" in done.stderr
