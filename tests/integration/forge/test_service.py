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

from tests.integration.forge.bridge_env import BridgeEnv

pytestmark = pytest.mark.forge
Make = Callable[..., BridgeEnv]


def deliver(
    env: BridgeEnv, body: bytes, *, secret: str | None = None, kind: str = "application/json"
) -> int:
    """Send a webhook request as the forge does; return the HTTP status."""
    key = (env.bridge.hook_secret if secret is None else secret).encode()
    signature = hmac.new(key, body, hashlib.sha256).hexdigest() if key else ""
    headers = {
        "Content-Type": kind,
        "X-Gitea-Event": "issue_comment",
        "X-Gitea-Event-Type": "pull_request_comment",
        "X-Gitea-Signature": signature,
    }
    return requests.post(
        f"{env.bridge.url}/hook", data=body, headers=headers, timeout=30
    ).status_code


def delivery(env: BridgeEnv, number: int, comment: int) -> bytes:
    """Return the body of a webhook request about a comment."""
    row = {
        "action": "created",
        "is_pull": True,
        "issue": {"number": number},
        "comment": {"id": comment},
        "repository": {"full_name": env.repo},
    }
    return json.dumps(row).encode()


def test_request_with_a_wrong_signature_has_no_effect(make_env: Make) -> None:
    """Wrong, empty and missing secrets are refused, and nothing is read from the forge."""
    env = make_env("hook")
    env.open()
    number, sha = env.pull()
    env.bridge.stop()
    comment = 1
    env.bridge.start()
    calls = len(env.gitea_proxy.calls)
    body = delivery(env, number, comment)
    assert deliver(env, body, secret="wrong") == 401
    assert deliver(env, body, secret="") == 401
    assert deliver(env, body, kind="text/plain") == 415
    assert deliver(env, b'{"action": "\xff"}') == 400
    assert deliver(env, b"[]") == 400
    assert deliver(env, b"") == 400
    assert deliver(env, b"[" * 100_000) == 400
    assert requests.get(f"{env.bridge.url}/hook", timeout=30).status_code == 405
    assert len(env.gitea_proxy.calls) <= calls + 2  # those of its start
    assert env.status(sha) == ("", "")


def test_replayed_webhook_request_starts_nothing(env: BridgeEnv) -> None:
    number, sha = env.pull()
    comment = env.comment(number, "!testme")
    assert env.final_state(sha) == "success"
    body = delivery(env, number, comment)
    assert [deliver(env, body) for _ in range(10)] == [202] * 10
    env.wait_until_idle()
    assert len(env.builds()) == 1


def test_metrics_and_health(env: BridgeEnv) -> None:
    number, sha = env.pull()
    env.comment(number, "!testme")
    assert env.final_state(sha) == "success"
    env.wait_until_idle()
    figures = requests.get(f"{env.bridge.url}/metrics", timeout=30).text
    assert 'ccci_comments_seen_total{command="cold"} 1.0' in figures
    assert 'ccci_builds_started_total{lane="cold"} 1.0' in figures
    assert 'ccci_verdicts_total{lane="cold",verdict="passed"} 1.0' in figures
    assert requests.get(f"{env.bridge.url}/healthz", timeout=30).json() == {
        "ok": True,
        "problems": [],
    }


def test_log_contains_no_secret_and_only_json(env: BridgeEnv) -> None:
    env.gitea_proxy.mode = "fail"
    deliver(env, b"{}")
    env.until(lambda: "HTTP 500" in env.bridge.daemon.log.read_text(), "an error in the log")
    text = env.bridge.daemon.log.read_text()
    for name in ("gitea_token", "hook_secret"):
        assert (env.bridge.folder / name).read_text().strip() not in text
    assert env.drone.token.read_text().strip() not in text
    assert all(json.loads(line)["level"] for line in text.splitlines())


def test_second_bridge_with_the_same_database_is_refused(env: BridgeEnv) -> None:
    """Two bridges would do everything twice."""
    done = subprocess.run(
        [sys.executable, "-m", "bridge"],
        env=env.bridge.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "another bridge uses" in done.stderr
