"""The bridge as a service: webhook requests, metrics and health, the log, one process per database."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable

import pytest
import requests

from tests.integration.forge.conversation import World

pytestmark = pytest.mark.forge
Make = Callable[..., World]


def deliver(
    world: World, body: bytes, *, secret: str | None = None, kind: str = "application/json"
) -> int:
    """Send a webhook request as the forge does; return the HTTP status."""
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
    """Return the body of a webhook request about a comment."""
    row = {
        "action": "created",
        "is_pull": True,
        "issue": {"number": number},
        "comment": {"id": comment},
        "repository": {"full_name": world.repo},
    }
    return json.dumps(row).encode()


def test_request_with_a_wrong_signature_has_no_effect(make_world: Make) -> None:
    """Wrong, empty and missing secrets are refused, and nothing is read from the forge."""
    world = make_world("hook")
    world.open()
    number, sha = world.pull()
    world.bridge.stop()
    comment = 1
    world.bridge.start()
    calls = len(world.gitea_proxy.calls)
    body = delivery(world, number, comment)
    assert deliver(world, body, secret="wrong") == 401
    assert deliver(world, body, secret="") == 401
    assert deliver(world, body, kind="text/plain") == 415
    assert deliver(world, b'{"action": "\xff"}') == 400
    assert deliver(world, b"[]") == 400
    assert deliver(world, b"") == 400
    assert deliver(world, b"[" * 100_000) == 400
    assert requests.get(f"{world.bridge.url}/hook", timeout=30).status_code == 405
    assert len(world.gitea_proxy.calls) <= calls + 2  # those of its start
    assert world.status(sha) == ("", "")


def test_replayed_webhook_request_starts_nothing(world: World) -> None:
    number, sha = world.pull()
    comment = world.comment(number, "!testme")
    assert world.final_state(sha) == "success"
    body = delivery(world, number, comment)
    assert [deliver(world, body) for _ in range(10)] == [202] * 10
    world.wait_until_idle()
    assert len(world.builds()) == 1


def test_metrics_and_health(world: World) -> None:
    number, sha = world.pull()
    world.comment(number, "!testme")
    assert world.final_state(sha) == "success"
    world.wait_until_idle()
    figures = requests.get(f"{world.bridge.url}/metrics", timeout=30).text
    assert 'ccci_comments_seen_total{command="cold"} 1.0' in figures
    assert 'ccci_builds_started_total{lane="cold"} 1.0' in figures
    assert 'ccci_verdicts_total{lane="cold",verdict="passed"} 1.0' in figures
    assert requests.get(f"{world.bridge.url}/healthz", timeout=30).json() == {
        "ok": True,
        "problems": [],
    }


def test_log_contains_no_secret_and_only_json(world: World) -> None:
    world.gitea_proxy.mode = "fail"
    deliver(world, b"{}")
    world.until(lambda: "HTTP 500" in world.bridge.daemon.log.read_text(), "an error in the log")
    text = world.bridge.daemon.log.read_text()
    for name in ("gitea_token", "hook_secret"):
        assert (world.bridge.folder / name).read_text().strip() not in text
    assert world.drone.token.read_text().strip() not in text
    assert all(json.loads(line)["level"] for line in text.splitlines())


def test_second_bridge_with_the_same_database_is_refused(world: World) -> None:
    """Two bridges would do everything twice."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge"],
        env=world.bridge.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "another bridge uses" in done.stderr
