"""Deliveries of the forge: a push creates a build of the pipelines for pushes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests

from tests.integration.drone.drone_env import SLUG, DroneEnv, pipeline, step
from tests.integration.drone.recordings import BRANCH_KEYS, COMMIT_KEYS, assert_like_recording

pytestmark = pytest.mark.contract

BOTH = pipeline("self-test", step("lint", "true"), event="push") + "---\n"
BOTH += pipeline("recipe-ci", step("run", "true"))


def delivery(branch: str, sha: str, message: str = "plain note\n") -> dict[str, Any]:
    """Return the body of a delivery about a push."""
    commit = {
        "id": sha,
        "message": message,
        "author": {"name": "ops", "email": "ops@bench.test", "username": "ops"},
    }
    return {
        "ref": f"refs/heads/{branch}",
        "before": "5e2b95a36487c4e627102de2212eaeda7468a3c9",
        "after": sha,
        "compare_url": f"http://forge.test/{SLUG}/compare/a...b",
        "commits": [commit],
        "head_commit": commit,
        "repository": {"name": "cc-ci", "full_name": SLUG, "owner": {"login": "ci"}},
        "sender": {"login": "ops", "avatar_url": "http://forge.test/avatars/ops"},
    }


def deliver(
    drone: DroneEnv, body: object, *, event: str = "push", **headers: str
) -> requests.Response:
    """Send a delivery with a valid signature, which `headers` may replace."""
    raw = json.dumps(body).encode()
    address, secret = drone.hook.split("?secret=")
    signed = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    own = {"X-Gitea-Event": event, "X-Gitea-Signature": signed, "Content-Type": "application/json"}
    return requests.post(address, data=raw, headers={**own, **headers}, timeout=60)


def test_a_push_triggers_only_the_pipelines_for_pushes(drone: DroneEnv) -> None:
    """The trigger is the hook and the sender the user who pushed."""
    sha = drone.push("push", BOTH)
    response = deliver(drone, delivery("push", sha))
    assert response.status_code == 200
    number = response.json()["number"]
    drone.finished(number)
    build_response = drone.build_response(number)
    assert_like_recording(build_response, "build-push-self-test", ignore=BRANCH_KEYS)
    assert (build_response.json()["trigger"], build_response.json()["after"]) == ("@hook", sha)


def test_ci_skip_only_prevents_builds_of_pushes(drone: DroneEnv) -> None:
    sha = drone.push("skip", BOTH, message="note [CI SKIP]")
    response = deliver(drone, delivery("skip", sha, "note [CI SKIP]\n"))
    assert (response.status_code, response.json()) == (200, None)
    extra = "concurrency: {limit: 2}\n"
    drone.push(
        "skip", pipeline("recipe-ci", step("run", "true"), extra=extra), message="x [ci skip]"
    )
    number = drone.create("skip", A="1")
    drone.finished(number)
    build_response = drone.build_response(number)
    assert_like_recording(build_response, "build-custom-on-ci-skip-commit", ignore=COMMIT_KEYS)


def test_without_a_pipeline_for_pushes_the_response_is_null(drone: DroneEnv) -> None:
    sha = drone.push("nopush", pipeline("recipe-ci", step("run", "true")))
    response = deliver(drone, delivery("nopush", sha))
    assert (response.status_code, response.json()) == (200, None)


def test_a_delivery_needs_a_valid_signature_or_the_secret(drone: DroneEnv) -> None:
    """A wrong signature is refused even with the right secret."""
    sha = drone.push("proof", BOTH)
    body = delivery("proof", sha)
    wrong = deliver(drone, body, **{"X-Gitea-Signature": "0" * 64})
    assert (wrong.status_code, wrong.json()["message"]) == (400, "Invalid webhook signature")
    assert deliver(drone, body, **{"X-Gitea-Signature": ""}).status_code == 400
    event = {"X-Gitea-Event": "push"}
    alone = requests.post(drone.hook, json=body, headers=event, timeout=60)
    assert alone.json()["event"] == "push"
    both = {**event, "X-Gitea-Signature": "0" * 64}
    assert requests.post(drone.hook, json=body, headers=both, timeout=60).status_code == 400


def test_other_deliveries_create_no_build(drone: DroneEnv) -> None:
    """Other events, deleted branches and unknown repositories."""
    sha = drone.push("ignored", BOTH)
    assert deliver(drone, delivery("ignored", sha), event="issues").text == ""
    assert deliver(drone, {**delivery("ignored", sha), "after": "0" * 40}).text == ""
    unknown = {**delivery("ignored", sha), "repository": {"full_name": "ci/no", "name": "no"}}
    assert deliver(drone, unknown).status_code == 400
