"""The forge's deliveries: a push makes a build of the pipelines that want pushes."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import requests

from tests.integration.drone.drone_env import REPO, SLUG, Place, pipeline, step
from tests.integration.drone.recordings import like

pytestmark = pytest.mark.contract

BOTH = pipeline("self-test", step("lint", "true"), event="push") + "---\n"
BOTH += pipeline("recipe-ci", step("run", "true"))


def delivery(branch: str, sha: str, message: str = "plain note\n") -> dict[str, Any]:
    """Return what the forge says about a push."""
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
    drone: Place, body: object, *, event: str = "push", **headers: str
) -> requests.Response:
    """Send a delivery with its right signature, unless the headers say otherwise."""
    raw = json.dumps(body).encode()
    address, secret = drone.hook.split("?secret=")
    signed = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    own = {"X-Gitea-Event": event, "X-Gitea-Signature": signed, "Content-Type": "application/json"}
    return requests.post(address, data=raw, headers={**own, **headers}, timeout=60)


def test_a_push_runs_the_self_test_alone(drone: Place) -> None:
    """The build is of event push, triggered by the hook, with the pusher as sender."""
    sha = drone.push("push", BOTH)
    answer = deliver(drone, delivery("push", sha))
    assert answer.status_code == 200
    number = answer.json()["number"]
    drone.over(number)
    shape = drone.call("GET", f"{REPO}/builds/{number}")
    like(shape, "build-push-self-test", but=("ref", "source", "target"))
    assert (shape.json()["trigger"], shape.json()["after"]) == ("@hook", sha)


def test_ci_skip_is_for_pushes_only(drone: Place) -> None:
    """A push whose commit asks to be skipped makes no build; a custom one of it does."""
    sha = drone.push("skip", BOTH, message="note [CI SKIP]")
    answer = deliver(drone, delivery("skip", sha, "note [CI SKIP]\n"))
    assert (answer.status_code, answer.json()) == (200, None)
    extra = "concurrency: {limit: 2}\n"
    drone.push(
        "skip", pipeline("recipe-ci", step("run", "true"), extra=extra), message="x [ci skip]"
    )
    number = drone.create("skip", A="1")
    drone.over(number)
    shape = drone.call("GET", f"{REPO}/builds/{number}")
    like(shape, "build-custom-on-ci-skip-commit", but=("message", "ref", "source", "target"))


def test_a_push_that_no_pipeline_wants_is_null(drone: Place) -> None:
    """No pipeline of event push, no build."""
    sha = drone.push("nopush", pipeline("recipe-ci", step("run", "true")))
    answer = deliver(drone, delivery("nopush", sha))
    assert (answer.status_code, answer.json()) == (200, None)


def test_a_delivery_must_prove_itself(drone: Place) -> None:
    """A wrong signature is refused, also beside the right secret; the secret alone suffices."""
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


def test_other_deliveries_are_ignored(drone: Place) -> None:
    """Another event, a deleted branch and an unknown repository make no build."""
    sha = drone.push("ignored", BOTH)
    assert deliver(drone, delivery("ignored", sha), event="issues").text == ""
    assert deliver(drone, {**delivery("ignored", sha), "after": "0" * 40}).text == ""
    unknown = {**delivery("ignored", sha), "repository": {"full_name": "ci/no", "name": "no"}}
    assert deliver(drone, unknown).status_code == 400
